/** Parses the text of a flag or variable. The options check ranges. */
import { UsageError } from './failure.ts';
import type { FlagSpec } from './option-flags.ts';

export type FlagValue = string | number | boolean | readonly string[];

/** `origin` names the flag or variable in errors. */
export function parseFlagValue(spec: FlagSpec, text: string, origin: string): FlagValue {
  switch (spec.kind) {
    case 'number':
      return parseNumber(text, origin);
    case 'switch':
      return parseSwitch(text, origin);
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'text':
      if (spec.choices !== undefined && !spec.choices.includes(text)) {
        throw new UsageError(`${origin} takes one of ${spec.choices.join(', ')}; got ${JSON.stringify(text)}`);
      }
      return text;
    case 'module':
      throw new UsageError(
        `${origin}: this option is ${spec.help} and has no flag; set it in the options of your module`,
      );
  }
}

function parseNumber(text: string, origin: string): number {
  if (/^infinity$/i.test(text)) return Infinity;
  if (!/^[+-]?\d+(\.\d+)?$/.test(text)) throw new UsageError(`${origin} takes a number; got ${JSON.stringify(text)}`);
  return Number(text);
}

function parseSwitch(text: string, origin: string): boolean {
  const on = ['true', '1'].includes(text);
  if (!on && !['false', '0'].includes(text)) {
    throw new UsageError(`${origin} takes true or false; got ${JSON.stringify(text)}`);
  }
  return on;
}
