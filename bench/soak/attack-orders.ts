import { ATTACKS, type Attack } from '../../test/support/attacks.js';

/** As much work as an attack is, without a pod: what it costs the honest clients is the doing of the machine alone. */
export const CONTROL = 'control: half a core of other work';

/** An attack, or {@link CONTROL}. */
export type AttackName = keyof typeof ATTACKS | typeof CONTROL;

/** What a process of hostile clients is told. */
export type AttackOrder =
  { readonly do: 'attack'; readonly port: number; readonly names: readonly AttackName[] } | { readonly do: 'stop' };

/** What it tells. */
export type AttackReport =
  | { readonly kind: 'ready' }
  /** How often each attack was carried out, and for how long. */
  | { readonly kind: 'stopped'; readonly done: readonly number[]; readonly seconds: number };

const SPIN_MS = 10;
const CONTROL_ATTACK: Attack = {
  what: 'half a core kept busy at the same priority, and the pod left alone',
  rate: 500 / SPIN_MS,
  atOnce: 1,
  once: () => {
    const end = performance.now() + SPIN_MS;
    while (performance.now() < end);
    return Promise.resolve();
  },
};

/** The attack of a name. */
export function attackOf(name: AttackName): Attack {
  return name === CONTROL ? CONTROL_ATTACK : ATTACKS[name];
}

/** All names, the control first. */
export const ATTACK_NAMES: readonly AttackName[] = [CONTROL, ...(Object.keys(ATTACKS) as (keyof typeof ATTACKS)[])];
