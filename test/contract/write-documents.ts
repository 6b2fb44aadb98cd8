// `npm run contract`: writes the documents of the contract anew, after a schema has changed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DOCUMENTS } from './documents.js';

for (const { file, text } of DOCUMENTS) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
