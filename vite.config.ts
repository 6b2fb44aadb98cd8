import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** The dashboard: its page goes to where `src/dashboard/page-files.ts` finds it once that is built. */
export default defineConfig({
  root: fileURLToPath(new URL('src/dashboard/page', import.meta.url)),
  base: '/dashboard/',
  build: {
    outDir: fileURLToPath(new URL('dist/dashboard/page', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    // The page has one script; nothing may be inline, so that the policy of the page can forbid it.
    modulePreload: false,
    assetsInlineLimit: 0,
  },
});
