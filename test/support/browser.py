"""Headless Chromium, driven by its DevTools protocol over a WebSocket."""

import base64
import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from websockets.sync.client import connect

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--remote-debugging-port=0',
)


class Browser:
    """One page in a Chromium of its own, with a profile that is thrown away.

    `errors` collects what scripts throw and what the browser complains about.
    """

    def __init__(self, profile, width=1280, height=800):
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f'--user-data-dir={profile}', 'about:blank'],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.errors = []
        self._number = 0
        port_file = Path(profile) / 'DevToolsActivePort'
        port, path = wait_until(lambda: _lines(port_file), 30.0)
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(
            connect(f'ws://127.0.0.1:{port}{path}', max_size=None, proxy=None)
        )
        self._session = None
        [page] = [
            target
            for target in self.call('Target.getTargets')['targetInfos']
            if target['type'] == 'page'
        ]
        attached = self.call('Target.attachToTarget', targetId=page['targetId'], flatten=True)
        self._session = attached['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Accessibility', 'DOM'):
            self.call(f'{domain}.enable')
        self.resize(width, height)

    def close(self):
        self._stack.close()
        self._process.kill()
        self._process.wait()

    def call(self, method, **parameters):
        """Call a method of the protocol; return its result."""
        self._number += 1
        command = {'id': self._number, 'method': method, 'params': parameters}
        if self._session is not None:
            command['sessionId'] = self._session
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            self._note(message)
            if message.get('id') == self._number:
                assert 'error' not in message, (method, message['error'])
                return message['result']

    def _note(self, message):
        parameters = message.get('params', {})
        if message.get('method') == 'Runtime.exceptionThrown':
            self.errors.append(json.dumps(parameters['exceptionDetails']))
        elif message.get('method') == 'Log.entryAdded' and parameters['entry']['level'] == 'error':
            self.errors.append(parameters['entry']['text'])

    def resize(self, width, height, scheme='dark'):
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = {'name': 'prefers-color-scheme', 'value': scheme}
        self.call('Emulation.setEmulatedMedia', features=[feature])

    def open(self, url):
        self.call('Page.navigate', url=url)
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression):
        """Return the value of an expression of JavaScript, awaited if it is a promise."""
        answer = self.call(
            'Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in answer, answer['exceptionDetails']
        return answer['result'].get('value')

    def until(self, expression, seconds=60.0):
        """Wait until an expression is true."""
        return wait_until(lambda: self.evaluate(f'Boolean({expression})'), seconds, expression)

    def press(self, key, code=0, text=''):
        for kind in ('keyDown', 'keyUp'):
            self.call(
                'Input.dispatchKeyEvent',
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text=text if kind == 'keyDown' else '',
            )

    def click(self, x, y):
        for kind in ('mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def screenshot(self, path):
        data = self.call('Page.captureScreenshot', format='png')['data']
        Path(path).write_bytes(base64.b64decode(data))


def wait_until(condition, seconds, what='it'):
    """Wait until a condition returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f'did not happen in {seconds:g} s: {what}'
        time.sleep(0.05)


def _lines(path):
    lines = path.read_text().split() if path.exists() else []
    return lines if len(lines) == 2 else None
