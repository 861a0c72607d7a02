/** Parses the text of a flag or variable. The check of its option refuses a text that is no number, and ranges. */
import { UsageError } from './failure.ts';
import type { FlagSpec } from './option-flags.ts';

export type FlagValue = string | number | boolean | readonly string[];

/** `origin` names the flag or variable in errors. */
export function parseFlagValue(spec: FlagSpec, text: string, origin: string): FlagValue {
  switch (spec.kind) {
    case 'number':
      if (/^infinity$/i.test(text)) return Infinity;
      if (spec.value === 'ms') return durationMs(text) ?? text;
      return /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    case 'switch':
      return parseSwitch(text, origin);
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'text':
      return text;
    case 'module':
      throw new UsageError(`${origin} has no flag: the option is ${spec.help}; set it in the options of your module`);
  }
}

function parseSwitch(text: string, origin: string): boolean {
  const on = ['true', '1'].includes(text);
  if (!on && !['false', '0'].includes(text)) {
    throw new UsageError(`${origin} takes true or false; got ${JSON.stringify(text)}`);
  }
  return on;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500`, `500ms`, `90s`, `30m`, `2h`, `1d` in ms; a number alone is ms. `undefined`: no duration. */
export function durationMs(text: string): number | undefined {
  const [, amount, unit = 'ms'] = /^([+-]?\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * (UNIT_MS[unit] ?? 1);
}
