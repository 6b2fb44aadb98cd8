import { fileURLToPath } from 'node:url';
import { openapiDocument } from '../../src/admin/openapi.js';
import { asyncapiDocument } from '../../src/contract/asyncapi.js';
import { documentText } from '../../src/contract/json-schema.js';
import { version } from '../../src/version.js';

/** The documents of the contract as they are checked in, by the name under which they are served. */
export const DOCUMENTS = (
  [
    ['asyncapi.json', asyncapiDocument],
    ['openapi.json', openapiDocument],
  ] as const
).map(([name, build]) => ({
  name,
  file: fileURLToPath(new URL(`../../docs/api/${name}`, import.meta.url)),
  text: documentText(build(version())),
}));
