import specs from '@asyncapi/specs';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.js';
import { asyncapiDocument } from '../../src/contract/asyncapi.js';
import { documentText } from '../../src/contract/json-schema.js';
import { version } from '../../src/version.js';
import { DocumentSchemas, type Tree, at, references, tree } from './document-schemas.js';
import { DOCUMENTS } from './documents.js';

const DOCUMENT = JSON.parse(documentText(asyncapiDocument(version()))) as Tree;

test.each(DOCUMENTS)('$name as it is checked in is what the schemas say; else run `npm run contract`', (one) => {
  expect(readFileSync(one.file, 'utf8')).toBe(one.text);
});

describe('the AsyncAPI document', () => {
  test('is one of AsyncAPI 3.0', () => {
    // It brings draft 7 along, which Ajv would have by itself.
    const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
    (addFormats as unknown as (ajv: Ajv) => void)(ajv);
    const validate = ajv.compile(specs.schemas['3.0.0'] as Tree);
    validate(DOCUMENT);
    expect(validate.errors ?? []).toEqual([]);
    // The validator does see something.
    expect(validate({ ...DOCUMENT, channels: { feed: { adress: '/' } } })).toBe(false);
  });

  test('has an example of every message, and all of them are valid', () => {
    const schemas = new DocumentSchemas(DOCUMENT, { draft: 7, isClosed: true });
    const messages = Object.entries(tree(at(DOCUMENT, '#/components/messages')));
    const faults = messages.flatMap(([name, message]) => {
      const examples = tree(message)['examples'] as { payload: unknown }[];
      return examples.map(({ payload }) => schemas.fault(`#/components/messages/${name}/payload`, payload));
    });
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
    expect(messages.filter(([, message]) => (tree(message)['examples'] as unknown[]).length === 0)).toEqual([]);
  });

  test('refers to nothing that is not there, and has nothing that nobody refers to', () => {
    const all = references(DOCUMENT);
    expect(all.filter((pointer) => at(DOCUMENT, pointer) === undefined)).toEqual([]);
    const named = ['schemas', 'messages'].flatMap((kind) =>
      Object.keys(tree(at(DOCUMENT, `#/components/${kind}`))).map((name) => `#/components/${kind}/${name}`),
    );
    expect(named.filter((pointer) => !all.includes(pointer))).toEqual([]);
    // Every message of a channel is in an operation, as a message or as a reply.
    const inChannels = Object.entries(tree(DOCUMENT['channels'])).flatMap(([channel, one]) =>
      Object.keys(tree(tree(one)['messages'])).map((name) => `#/channels/${channel}/messages/${name}`),
    );
    expect(inChannels.filter((pointer) => !all.includes(pointer))).toEqual([]);
  });

  test('names the ports and the Pub/Sub channels that the configuration has by default', () => {
    const config = loadConfig({});
    expect(Object.fromEntries(documentDefaults(DOCUMENT))).toMatchObject({
      port: String(config.port),
      signalChannel: config.signalChannel,
      statusChannel: config.statusChannel,
    });
  });
});

/** Variables of servers and parameters of channels, with their defaults. */
function* documentDefaults(document: Tree): Generator<[string, unknown]> {
  const holders = [...Object.values(tree(document['servers'])), ...Object.values(tree(document['channels']))];
  for (const holder of holders) {
    const { variables, parameters } = tree(holder);
    for (const [name, one] of Object.entries({ ...tree(variables), ...tree(parameters) })) {
      yield [name, tree(one)['default']];
    }
  }
}
