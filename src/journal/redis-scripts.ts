import { luaScript } from '../redis/lua-script.js';

function lua(name: string): URL {
  return new URL(`./lua/${name}.lua`, import.meta.url);
}

/** The function `open`, which begins an epoch where one is due. */
const EPOCH = [lua('own'), lua('epoch')];

/** Everything that changes the journal in Redis; KEYS, ARGV and answers stand in the files. */
export const openScript = luaScript(lua('open'), ...EPOCH);
export const forkScript = luaScript(lua('fork'), ...EPOCH);
export const appendScript = luaScript(lua('append'), ...EPOCH);
/** Changes nothing of the journal. */
export const probeScript = luaScript(lua('probe'));
export const deleteScript = luaScript(lua('delete'));
export const removeStatusScript = luaScript(lua('remove-status'));
export const leaseScript = luaScript(lua('lease'));
export const releaseScript = luaScript(lua('release'));
/** The only one that changes nothing. */
export const clockScript = luaScript(lua('clock'));
