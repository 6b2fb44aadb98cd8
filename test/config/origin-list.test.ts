import { expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config/config.js';

function origins(value: string): readonly string[] {
  return loadConfig({ CORS_ORIGIN: value }).corsOrigins;
}

function refusal(value: string): string {
  try {
    return `taken: ${origins(value).join()}`;
  } catch (error) {
    return error instanceof ConfigError ? error.message : String(error);
  }
}

const TAKEN: readonly (readonly [string, string])[] = [
  ['https://app.example.com:443', 'https://app.example.com'],
  ['http://app.example.com:80/', 'http://app.example.com'],
  ['http://app.example.com:443', 'http://app.example.com:443'],
  ['HTTPS://App.Example.COM/', 'https://app.example.com'],
  ['https://münchen.example', 'https://xn--mnchen-3ya.example'],
  ['https://MÜNCHEN.example:8443', 'https://xn--mnchen-3ya.example:8443'],
  ['https://例え.テスト', 'https://xn--r8jz45g.xn--zckzah'],
  ['https://xn--mnchen-3ya.example', 'https://xn--mnchen-3ya.example'],
  ['https://*.münchen.example:443', 'https://*.xn--mnchen-3ya.example'],
  ['https://*.Example.com:8443/', 'https://*.example.com:8443'],
  ['http://[0:0:0:0:0:0:0:1]:3000', 'http://[::1]:3000'],
  ['http://my_host:3000', 'http://my_host:3000'],
  ['capacitor://localhost', 'capacitor://localhost'],
  ['ionic://localhost/', 'ionic://localhost'],
  ['tauri://localhost', 'tauri://localhost'],
  ['chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'chrome-extension://abcdefghijklmnopabcdefghijklmnop'],
  ['moz-extension://3b0e6a4e-51f5-4f3e-9d0c-7b0f7b1f8f10', 'moz-extension://3b0e6a4e-51f5-4f3e-9d0c-7b0f7b1f8f10'],
  ['app://.', 'app://.'],
  ['file:///', 'file://'],
  ['NULL', 'null'],
];

test('origins of every kind are brought to the form in which browsers send them', () => {
  for (const [value, origin] of TAKEN) expect([value, origins(value)]).toEqual([value, [origin]]);
  expect(origins('https://a.example, https://a.example:443/,null')).toEqual(['https://a.example', 'null']);
});

const REFUSED: readonly (readonly [string, string])[] = [
  ['example.com', 'https://example.com'],
  ['example.com:8080', 'https://example.com:8080'],
  ['app.example.com/', 'https://app.example.com'],
  ['münchen.example', 'https://xn--mnchen-3ya.example'],
  ['localhost:3000', 'http://localhost:3000'],
  ['192.168.1.5:3000', 'http://192.168.1.5:3000'],
  ['[::1]:3000', 'http://[::1]:3000'],
  ['//a.example', 'https://a.example'],
  ['https:a.example', 'https://a.example'],
  ['https//a.example', 'https://a.example'],
  ['*://a.example', 'https://a.example'],
  ['wss://a.example', 'https://a.example'],
  ['ws://a.example:3000/socket.io/', 'http://a.example:3000'],
  ['*.example.com', 'https://*.example.com'],
  ['https://*example.com', 'https://*.example.com'],
  ['https://*.*.example.com', 'https://*.example.com'],
  ['https://*', '*'],
  ['https://a.example/path', 'https://a.example'],
  ['https://a.example/?x#y', 'https://a.example'],
  ['https://user:password@a.example', 'https://a.example'],
  ['https://a.example https://b.example', 'https://a.example,https://b.example'],
  ['https://a.example;b.example', 'https://a.example,https://b.example'],
  ['"https://a.example"', 'https://a.example'],
  ["'*'", '*'],
  ['capacitor://localhost/index.html', 'capacitor://localhost'],
  ['file:///android_asset/www/index.html', 'file://'],
  ['data:text/html', 'null'],
];

test('a list that cannot work ends the start with the right form to write', () => {
  for (const [value, write] of REFUSED) {
    expect(refusal(value)).toContain(`; write ${write} instead of ${JSON.stringify(value)}.`);
  }
  expect(refusal('["https://a.example", "https://b.example"]')).toContain('write https://b.example instead of');
  // What is right stays out of the message.
  const both = refusal('https://good.example,one.example,two.example');
  expect(both).toContain('; write https://one.example instead of "one.example"; write https://two.example instead of');
  expect(both).not.toContain('good.example instead');
});

test('a list for which no right form is known ends the start with what is wrong with it', () => {
  for (const value of [
    'https://',
    'https://a.example:99999',
    'https://a..example',
    'https://*.',
    'https://*.1.2.3.4',
  ]) {
    expect(refusal(value)).toMatch(/is not an origin\.$|for nothing else\.$/);
  }
  for (const value of ['https://a.*.com', 'https://x*.example.com', 'chrome-extension://*']) {
    expect(refusal(value)).toContain(`the star of ${JSON.stringify(value)} can stand for all names below a domain`);
  }
  expect(refusal('http://localhost:*')).toContain('list every port of "http://localhost:*"');
  expect(refusal('*,https://a.example')).toContain('write * alone for every origin, or leave it out');
  expect(refusal(',')).toContain('takes * alone or a comma-separated list of origins');
});
