// Adds the optional platform packages of uWebSockets.js that a registry could not serve to package-lock.json.
//
// `npm ci` refuses a lockfile in which one of them is missing, and `npm install` leaves out those that its registry
// answers with 404 for. Entries added here carry no integrity hash: npm fetches them only on their own platform.
// Run it after any `npm install` that changed the lockfile: node .ci/lock-uws-platforms.mjs
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
const packages = lock.packages;
let added = 0;
for (const [name, version] of Object.entries(packages['node_modules/uWebSockets.js'].optionalDependencies)) {
  const key = `node_modules/${name}`;
  if (packages[key]) continue;
  const [os, cpu, major] = name.split('/')[1].split('-');
  packages[key] = {
    version,
    cpu: [cpu],
    ...(os === 'linux' ? { libc: 'glibc' } : {}),
    license: 'Apache-2.0',
    optional: true,
    os: [os],
    engines: { node: `>=${major}.0.0 <${Number(major) + 1}.0.0` },
  };
  added++;
}
lock.packages = Object.fromEntries(Object.entries(packages).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
if (added > 0) writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} platform packages added to the lockfile`);
