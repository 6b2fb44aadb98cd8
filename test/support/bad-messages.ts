import type { RejectReason } from '../../src/contract/decode.js';
import { type FeedEvent, MAX_MESSAGE_DEPTH } from '../../src/contract/events.js';
import { signal, status } from './signals.js';

/** One message that the gateway must refuse. */
export interface BadMessage {
  /** What is wrong with it; no two have the same name. */
  readonly name: string;
  readonly event: FeedEvent;
  readonly reason: RejectReason;
  readonly bytes: Buffer;
}

type Fields = Readonly<Record<string, unknown>>;
type Case = readonly [name: string, reason: RejectReason, bytes: Buffer];

/** Text put in the place of a value that `JSON.stringify` can not write. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

function withField(base: Fields, field: string, value: unknown): string {
  const json = JSON.stringify({ ...base, [field]: value instanceof Raw ? '\u0001' : value });
  return value instanceof Raw ? json.replace('"\\u0001"', value.text) : json;
}

/** Bytes around a wrong piece of UTF-8 that sits inside a string of an otherwise good message. */
function withBytes(base: Fields, field: string, bytes: readonly number[]): Buffer {
  const json = JSON.stringify({ ...base, [field]: '\u0001' });
  const [before = '', after = ''] = json.split('\\u0001');
  return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
}

/** Pads a good message with an unknown field so that it has exactly `size` bytes. */
export function padded(base: Fields, size: number, filler = 'x'): Buffer {
  const left = size - Buffer.byteLength(JSON.stringify({ ...base, pad: '' }));
  const width = Buffer.byteLength(filler);
  const pad = filler.repeat(Math.floor(left / width)) + 'x'.repeat(left % width);
  return Buffer.from(JSON.stringify({ ...base, pad }));
}

function tooLarge(base: Fields, limit: number): Case[] {
  return [
    ['one byte over the limit', 'too_large', padded(base, limit + 1)],
    ['one byte over the limit in fewer characters', 'too_large', padded(base, limit + 1, '€')],
    [
      'one byte over the limit because of trailing white space',
      'too_large',
      Buffer.from(JSON.stringify(base).padEnd(limit + 1)),
    ],
    [
      'one byte over the limit because of leading white space',
      'too_large',
      Buffer.from(JSON.stringify(base).padStart(limit + 1)),
    ],
    ['one byte over the limit and not UTF-8', 'too_large', Buffer.alloc(limit + 1, 0xff)],
    ['one byte over the limit and not JSON', 'too_large', Buffer.alloc(limit + 1, '[')],
    ['a mebibyte', 'too_large', padded(base, 1024 * 1024)],
  ];
}

function encodings(base: Fields): Case[] {
  const [field = ''] = Object.keys(base);
  const json = JSON.stringify(base);
  const inString: Record<string, number[]> = {
    'an overlong slash of two bytes': [0xc0, 0xaf],
    'an overlong NUL': [0xc0, 0x80],
    'an overlong slash of three bytes': [0xe0, 0x80, 0xaf],
    'an overlong slash of four bytes': [0xf0, 0x80, 0x80, 0xaf],
    'a lone continuation byte': [0x80],
    'two lone continuation bytes': [0xbf, 0xbf],
    'a lead byte without its continuation': [0xc3],
    'three bytes of a four-byte character': [0xf0, 0x9f, 0x98],
    'a high surrogate': [0xed, 0xa0, 0x80],
    'a pair of surrogates (CESU-8)': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
    'a code point above U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
    'a five-byte sequence': [0xf8, 0x88, 0x80, 0x80, 0x80],
    'the byte FE': [0xfe],
    'the byte FF': [0xff],
    'Latin-1': [...Buffer.from('für', 'latin1')],
  };
  return [
    ...Object.entries(inString).map(([name, bytes]): Case => [
      `${name} in a string`,
      'encoding',
      withBytes(base, field, bytes),
    ]),
    ['UTF-16LE with a byte order mark', 'encoding', Buffer.from(`\ufeff${json}`, 'utf16le')],
    ['UTF-16BE with a byte order mark', 'encoding', Buffer.from(`\ufeff${json}`, 'utf16le').swap16()],
    ['a bad byte before a good message', 'encoding', Buffer.concat([Buffer.from([0xff]), Buffer.from(json)])],
    [
      'a character cut off after a good message',
      'encoding',
      Buffer.concat([Buffer.from(json), Buffer.from([0xe2, 0x82])]),
    ],
    ['gzip', 'encoding', Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0x00])],
    ['UTF-16LE without a byte order mark', 'not_json', Buffer.from(json, 'utf16le')],
    ['UTF-16BE without a byte order mark', 'not_json', Buffer.from(json, 'utf16le').swap16()],
    ['a UTF-8 byte order mark', 'not_json', Buffer.from(`\ufeff${json}`)],
  ];
}

function notJson(base: Fields): Case[] {
  const json = JSON.stringify(base);
  const [field = ''] = Object.keys(base);
  const cuts = [1, 2, 5, 9, 14, 20, 28, 37, json.length - 2, json.length - 1];
  const texts: Record<string, string> = {
    'nothing at all': '',
    'only white space': ' \n\t ',
    'a word': 'hello',
    'a number of another notation': '0x10',
    'a number with a leading zero': '01',
    'a number with a plus sign': '+1',
    'the bare word NaN': 'NaN',
    'the bare word Infinity': 'Infinity',
    'the bare word undefined': 'undefined',
    'the bare word True': 'True',
    'a string that does not end': '"BUY',
    'single quotes': json.replaceAll('"', "'"),
    'unquoted keys': json.replaceAll(/"(\w+)":/g, '$1:'),
    'a trailing comma': json.replace('}', ',}'),
    'a leading comma': json.replace('{', '{,'),
    'a missing comma': json.replace(',', ''),
    'a missing colon': json.replace(':', ' '),
    'a comment': json.replace('{', '{/* note */'),
    'a comment after the message': `${json} // note`,
    'two messages in one': json + json,
    'two messages on two lines': `${json}\n${json}`,
    'a closing brace too many': `${json}}`,
    'a NUL after the message': `${json}\0`,
    'a no-break space before the message': `\u00a0${json}`,
    'a line separator before the message': `\u2028${json}`,
    'a raw line feed in a string': withField(base, field, new Raw('"a\nb"')),
    'a raw tab in a string': withField(base, field, new Raw('"a\tb"')),
    'a raw NUL in a string': withField(base, field, new Raw('"a\0b"')),
    'an unknown escape': withField(base, field, new Raw('"a\\x41"')),
    'a short unicode escape': withField(base, field, new Raw('"a\\u12"')),
    'a field of NaN': withField(base, field, new Raw('NaN')),
    'a field of undefined': withField(base, field, new Raw('undefined')),
    'a field of an expression': withField(base, field, new Raw('1+1')),
    'a field without a value': withField(base, field, new Raw('')),
    'an array that does not end': `[${json}`,
    'an array that ends as an object': `[${json}}`,
    '5,000 opening brackets': '['.repeat(5000),
    XML: '<signal>BUY</signal>',
    'a form': 'signal=BUY&price=1',
    CSV: 'QUANTUM_CIPHER,BUY,1',
    'Python text': "{'signal': None}",
  };
  return [
    ...Object.entries(texts).map(([name, text]): Case => [name, 'not_json', Buffer.from(text)]),
    ...cuts.map((at): Case => [`cut off after ${at} characters`, 'not_json', Buffer.from(json.slice(0, at))]),
  ];
}

function wrongTop(base: Fields, other: Fields): Case[] {
  const values: Record<string, unknown> = {
    null: null,
    true: true,
    false: false,
    zero: 0,
    'a number': -1.5,
    'a string': 'BUY',
    'an empty string': '',
    'a message as a string': JSON.stringify(base),
    'an empty array': [],
    'a message in an array': [base],
    'two messages in an array': [base, base],
    'an array of fields': Object.values(base),
    'an empty object': {},
    'a message in a field "data"': { data: base },
    'a message in a field of its own': { signal: base, service: base },
    'an event packet': ['new_signal', base],
    'a message of the other channel': other,
    'keys in capitals': Object.fromEntries(Object.entries(base).map(([key, value]) => [key.toUpperCase(), value])),
  };
  return [
    ...Object.entries(values).map(([name, value]): Case => [name, 'shape', Buffer.from(JSON.stringify(value))]),
    ['arrays 5,000 levels deep', 'shape', Buffer.from('['.repeat(5000) + ']'.repeat(5000))],
    ['fields in "__proto__" only', 'shape', Buffer.from(`{"__proto__":${JSON.stringify(base)}}`)],
  ];
}

function wrongFields(base: Fields, special: Readonly<Record<string, readonly unknown[]>>): Case[] {
  return Object.entries(base).flatMap(([field, good]): Case[] => {
    const missing = Object.fromEntries(Object.entries(base).filter(([key]) => key !== field));
    const types = [null, true, {}, [], [good], { value: good }, typeof good === 'number' ? String(good) : 1];
    return [
      [`without "${field}"`, 'shape', Buffer.from(JSON.stringify(missing))],
      ...[...types, ...(special[field] ?? [])].map((value): Case => {
        const shown = value instanceof Raw ? value.text : JSON.stringify(value);
        return [`"${field}" is ${shown}`, 'shape', Buffer.from(withField(base, field, value))];
      }),
    ];
  });
}

/** A character as an escape: "s" is "\u0073". */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Messages of which JSON.parse makes a good one, while a reader that takes the first of two values may get another. */
function twice(base: Fields): Case[] {
  const json = JSON.stringify(base);
  return Object.entries(base).flatMap(([field, good]): Case[] => {
    const value = JSON.stringify(good);
    const other = JSON.stringify(typeof good === 'number' ? good + 1 : `other ${String(good)}`);
    const rest = field.slice(1);
    const texts: Record<string, string> = {
      'with another value first': `{"${field}":${other},${json.slice(1)}`,
      'and once more': `{"${field}":${other},"${field}":null,${json.slice(1)}`,
      'with the same value': `${json.slice(0, -1)},"${field}":${value}}`,
      'first with a value of the wrong type': `{"${field}":{"${field}":[]},${json.slice(1)}`,
      'first with its beginning escaped': `{"${escaped(field)}${rest}":${other},${json.slice(1)}`,
      'first with every character escaped': `{"${Array.from(field, escaped).join('')}":null,${json.slice(1)}`,
      'last with its beginning escaped': `${json.slice(0, -1)},"${escaped(field)}${rest}":${value}}`,
      'far apart': `{"${field}":${other},"x":{"${field}":[1,{"a":"}"}]},"y":"\\\\",${json.slice(1)}`,
      'with white space and keys of the prototype': `{ "__proto__":{} ,\n"${field}"\t: ${other}, "__proto__":[], ${json.slice(1)}`,
    };
    return Object.entries(texts).map(([name, text]): Case => [
      `"${field}" twice, ${name}`,
      'duplicate_field',
      Buffer.from(text),
    ]);
  });
}

const LONE_SURROGATES: Readonly<Record<string, string>> = {
  'a high surrogate alone': String.raw`\ud83d`,
  'a low surrogate alone': String.raw`\udcc8`,
  'the first surrogate': String.raw`\ud800`,
  'the last surrogate, in capitals': String.raw`\uDFFF`,
  'a pair the wrong way round': String.raw`\udcc8\ud83d`,
  'two high surrogates': String.raw`\ud83d\ud83d`,
  'a pair and half of another': String.raw`\ud83d\udcc8\ud83d`,
  'a high surrogate before a letter': String.raw`BTC\ud83dx`,
  'a low surrogate behind a letter': String.raw`BTC\udcc8`,
};

function surrogates(base: Fields, names: readonly string[]): Case[] {
  return names.flatMap((field) =>
    Object.entries(LONE_SURROGATES).map(([name, text]): Case => [
      `${name} in "${field}"`,
      'lone_surrogate',
      Buffer.from(withField(base, field, new Raw(`"${text}"`))),
    ]),
  );
}

/** A message that nests so many levels, itself the first. */
export function nested(base: Fields, levels: number, [open, close]: readonly [string, string]): string {
  const json = JSON.stringify(base);
  return `${json.slice(0, -1)},"deep":${open.repeat(levels - 1)}1${close.repeat(levels - 1)}}`;
}

function tooDeep(base: Fields): Case[] {
  const arrays = ['[', ']'] as const;
  const objects = ['{"a":', '}'] as const;
  const json = JSON.stringify(base);
  const texts: Record<string, string> = {
    'arrays one level too deep': nested(base, MAX_MESSAGE_DEPTH + 1, arrays),
    'objects one level too deep': nested(base, MAX_MESSAGE_DEPTH + 1, objects),
    'arrays and objects two levels too deep': nested(base, (MAX_MESSAGE_DEPTH + 3) / 2, ['[{"a":', '}]']),
    'an empty array one level too deep': nested(base, MAX_MESSAGE_DEPTH, arrays).replace('1]', '[]]'),
    'arrays one level too deep after many shallow ones': `{"a":[${'[],{},'.repeat(100)}0],${nested(base, 64, arrays).slice(1)}`,
    'arrays 200 levels deep in front': `{"a":${'['.repeat(199)}${']'.repeat(199)},${json.slice(1)}`,
    'objects 1,000 levels deep': nested(base, 1000, objects),
    'arrays 5,000 levels deep in a field': nested(base, 5000, arrays),
  };
  return Object.entries(texts).map(([name, text]): Case => [name, 'too_deep', Buffer.from(text)]);
}

const BAD_TOPIC_PARTS = ['', '@', 'BTC@USDT', '*', 'a\0b', 'a\nb', 'a\u001fb', 'a\u007fb'];

const SPECIAL: Readonly<Record<FeedEvent, Readonly<Record<string, readonly unknown[]>>>> = {
  new_signal: {
    type: [''],
    signal: ['', 'buy', 'Sell', 'HOLD', 'BUY ', ' SELL', 'BUY,SELL', 'ＢＵＹ'],
    price: [-1, -0.01, -1e308, new Raw('1e999'), new Raw('-1e999'), 'NaN', 'Infinity', '', '1e3'],
    symbol: [...BAD_TOPIC_PARTS, 'A'.repeat(65), 'é'.repeat(65)],
    timeframe: [...BAD_TOPIC_PARTS, 'm'.repeat(17)],
    timestamp: [
      '',
      'now',
      '2023-10-27',
      '10:00:00Z',
      '2023-10-27T10:00:00',
      '2023-10-27 10:00:00Z',
      '2023-10-27T10:00:00+02:00',
      '2023-10-27T10:00:00-05:00',
      '2023-10-27T10:00:00+0000',
      '2023-10-27T10:00:00+00',
      '2023-10-27T10:00:00z',
      '2023-10-27t10:00:00Z',
      '2023-10-27T10:00:00Z ',
      ' 2023-10-27T10:00:00Z',
      '2023-10-27T10:00:00Z+00:00',
      '2023-10-27T24:00:00Z',
      '2023-10-27T10:60:00Z',
      '2023-10-27T10:00:61Z',
      '2023-10-27T10Z',
      '2023-00-10T10:00:00Z',
      '2023-13-01T10:00:00Z',
      '2023-02-29T10:00:00Z',
      '2023-02-30T10:00:00Z',
      '2023-04-31T10:00:00Z',
      '1900-02-29T10:00:00Z',
      '2023-10-32T10:00:00Z',
      '2023-10-00T10:00:00Z',
      '23-10-27T10:00:00Z',
      '20231027T100000Z',
      'Fri, 27 Oct 2023 10:00:00 GMT',
      1_698_400_800,
      1_698_400_800_000,
      '1698400800',
    ],
  },
  status_update: {
    service: [''],
    status: ['', 'ACTIVE', 'Active', 'active ', 'down', 'ok', 'active,offline', 'аctive'],
    message: [],
  },
};

/** Every bad message of the table, for both channels, the reasons mixed. */
export function badMessages(limit: number): BadMessage[] {
  const bases: Readonly<Record<FeedEvent, readonly [own: Fields, other: Fields]>> = {
    new_signal: [{ ...signal(162.5) }, { ...status() }],
    status_update: [{ ...status() }, { ...signal(162.5) }],
  };
  const all = (['new_signal', 'status_update'] as const).flatMap((event) => {
    const [own, other] = bases[event];
    const cases = [
      ...tooLarge(own, limit),
      ...encodings(own),
      ...wrongTop(own, other),
      ...wrongFields(own, SPECIAL[event]),
      ...notJson(own),
      ...twice(own),
      ...surrogates(own, event === 'new_signal' ? ['symbol', 'timeframe'] : ['service']),
      ...tooDeep(own),
    ];
    return cases.map(([name, reason, bytes]): BadMessage => ({ name: `${event}: ${name}`, event, reason, bytes }));
  });
  // In turns by reason, so that the first 200 have some of each.
  const turn = new Map<RejectReason, number>();
  return all
    .map((message) => {
      const place = turn.get(message.reason) ?? 0;
      turn.set(message.reason, place + 1);
      return { message, place };
    })
    .toSorted((a, b) => a.place - b.place)
    .map(({ message }) => message);
}
