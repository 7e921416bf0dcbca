"""A synthetic person: the shape of the face, its skin, hair and wrinkles."""
