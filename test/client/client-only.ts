import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

const DIRECTIVE = /^(['"])use client\1;\n/;

/**
 * Takes the directive `use client` away from the modules of a bundle for browsers alone. It is for frameworks that render
 * components on a server, and a bundler that keeps no directive warns of each; Vite's plugin for React hides these warnings.
 */
export function clientOnly(): Plugin {
  return {
    name: 'client-only',
    load: {
      filter: { id: /\/use-signals\.[jt]s$/ },
      handler: (id) => readFileSync(id, 'utf8').replace(DIRECTIVE, '\n'),
    },
  };
}
