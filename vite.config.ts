import { readFileSync, readdirSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildEnvironmentOptions, type Plugin, defineConfig } from 'vite';

function path(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

const SRC = path('src/');

/** Stands for the URL of a module of `src/` until it is known which file its code is in. */
const URL_OF = /__urlOf\("([^"]+)"\)/g;

/**
 * Lets a module in the bundle find files where it finds them in `src/`: its `import.meta.url` is that of the file in `dist/`
 * that it would be without a bundle. The files that modules read are copied there, so that
 * `new URL('./lua/append.lua', import.meta.url)` in `src/journal/` is `dist/journal/lua/append.lua`.
 */
function keepUrls(): Plugin {
  return {
    name: 'keep-urls',
    buildStart() {
      for (const name of readdirSync(SRC, { recursive: true, encoding: 'utf8' })) {
        if (!name.endsWith('.lua')) continue;
        this.emitFile({ type: 'asset', fileName: name, source: readFileSync(`${SRC}${name}`) });
      }
    },
    transform: {
      order: 'pre',
      filter: { id: /\.ts$/, code: 'import.meta.url' },
      handler: (code, id) => {
        if (!id.startsWith(SRC)) return null;
        const url = JSON.stringify(relative(SRC, id).replace(/\.ts$/, '.js'));
        // Lines stay where they are, which is all that the source map needs.
        return { code: code.replaceAll('import.meta.url', `__urlOf(${url})`), map: null };
      },
    },
    renderChunk(code, { fileName }) {
      const up = relative(dirname(fileName), '.') || '.';
      return { code: code.replace(URL_OF, `new URL("${up}/$1", import.meta.url).href`), map: null };
    },
  };
}

/**
 * The gateway and its commands with the packages they use, in few files: a pod that loads some hundred takes twice the time
 * until it serves. Only uWebSockets.js stays outside, whose binary is for one platform.
 *
 * Nothing is minified: a stack trace names the functions as they are in `src/`, with `--enable-source-maps` the lines too.
 */
const GATEWAY: BuildEnvironmentOptions = {
  ssr: true,
  outDir: path('dist'),
  emptyOutDir: true,
  copyPublicDir: false,
  emitAssets: true,
  target: 'node20.19',
  minify: false,
  sourcemap: true,
  license: { fileName: 'third-party-licenses.md' },
  rolldownOptions: {
    plugins: [keepUrls()],
    // The third is what tests start that give the gateway handlers of their own.
    input: { main: path('src/main.ts'), cli: path('src/cli.ts'), gateway: path('src/app/process.ts') },
    output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name].js', sourcemapExcludeSources: true },
  },
};

/** The dashboard: its page goes to where `src/dashboard/page-files.ts` finds it once that is built. */
const PAGE: BuildEnvironmentOptions = {
  outDir: path('dist/dashboard/page'),
  emptyOutDir: true,
  target: 'es2022',
  // The page has one script; nothing may be inline, so that the policy of the page can forbid it.
  modulePreload: false,
  assetsInlineLimit: 0,
};

export default defineConfig({
  root: path('src/dashboard/page'),
  base: '/dashboard/',
  environments: {
    ssr: { resolve: { noExternal: true }, build: GATEWAY },
    client: { build: PAGE },
  },
  builder: {
    async buildApp(builder) {
      const { ssr, client } = builder.environments;
      // The gateway first: its build empties dist/.
      for (const environment of [ssr, client]) if (environment !== undefined) await builder.build(environment);
    },
  },
});
