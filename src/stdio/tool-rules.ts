/** What the operator says about tools, by patterns of their names, and what the program says itself. */
import { optionInvalid } from '../base/errors.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { declaresParams } from '../http/mcp-headers.ts';
import { isHarmless } from '../session/calls/markers.ts';
import { RUNS_ONCE } from '../durable/once/index.ts';
import type { Result } from './child.ts';

export interface ToolPatterns {
  /** Only these tools exist. */
  readonly tools?: readonly string[] | undefined;
  /** `pay_*:order`: calls run once for each value of the argument. */
  readonly toolsOnce?: readonly string[] | undefined;
  readonly toolsAsTasks?: readonly string[] | undefined;
  /** Calls may run again after a crash, whatever the hints of the tool say. */
  readonly toolsAfterCrashRun?: readonly string[] | undefined;
}

type Matches = (name: string) => boolean;

interface OnceRule {
  readonly matches: Matches;
  readonly argument: string;
}

/** A `*` matches any characters. */
function matching(pattern: string): Matches {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (name) => name === pattern;
  return (name) => {
    if (!name.startsWith(first) || name.length < first.length + last.length) return false;
    let at = first.length;
    for (const part of rest) {
      const found = name.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return name.endsWith(last) && name.length - last.length >= at;
  };
}

function anyOf(patterns: readonly string[] | undefined): Matches | undefined {
  const all = patterns?.map(matching);
  return all && ((name) => all.some((matches) => matches(name)));
}

const never: Matches = () => false;

export class ToolRules {
  readonly #exists: Matches | undefined;
  readonly #once: readonly OnceRule[];
  readonly #asTask: Matches;
  readonly #afterCrash: Matches;
  /** What lists have said of each name. A tool may run again if each list that named it said so. */
  readonly #harmless = new Map<string, boolean>();

  /** Tools whose last list asked for headers that mirror their arguments. */
  readonly #mirrored = new Set<string>();

  constructor({ tools, toolsOnce = [], toolsAsTasks, toolsAfterCrashRun }: ToolPatterns) {
    this.#exists = anyOf(tools);
    this.#asTask = anyOf(toolsAsTasks) ?? never;
    this.#afterCrash = anyOf(toolsAfterCrashRun) ?? never;
    this.#once = toolsOnce.map((rule) => {
      const [pattern = '', argument = ''] = rule.split(':');
      if (pattern === '' || argument === '')
        throw optionInvalid(
          'range',
          'toolsOnce',
          rule,
          'a pattern and an argument, like pay_*:order',
        );
      return { matches: matching(pattern), argument };
    });
  }

  exists(name: string): boolean {
    return this.#exists?.(name) ?? true;
  }

  /** The argument by whose values calls run once. */
  onceArgument(name: string): string | undefined {
    return this.#once.find(({ matches }) => matches(name))?.argument;
  }

  runsAsTask(name: string): boolean {
    return this.#asTask(name);
  }

  /** Whether a call may run again in another child when its child ended. */
  mayRunAgain(name: string): boolean {
    return this.#afterCrash(name) || this.#harmless.get(name) === true;
  }

  readonly asksForHeaders = (name: string): boolean => this.#mirrored.has(name);

  /** A `tools/list` as clients get it. */
  listed(result: Result): Result {
    const { tools } = result;
    if (!Array.isArray(tools)) return result;
    return { ...result, tools: (tools as unknown[]).flatMap((tool) => this.#shown(tool)) };
  }

  #shown(tool: unknown): readonly unknown[] {
    if (!isObject(tool) || typeof tool['name'] !== 'string') return [tool];
    const { name } = tool;
    if (!this.exists(name)) return [];
    if (declaresParams(tool['inputSchema'])) this.#mirrored.add(name);
    else this.#mirrored.delete(name);
    const isKnownHarmful = this.#harmless.get(name) === false;
    this.#harmless.set(name, isHarmless(tool) && !isKnownHarmful);
    // The endpoint reads both, and then runs a call again whose process died.
    if (this.onceArgument(name) !== undefined)
      return [{ ...tool, _meta: { ...(tool['_meta'] as object | undefined), ...RUNS_ONCE } }];
    if (!this.#afterCrash(name) || isHarmless(tool)) return [tool];
    const annotations = { ...(tool['annotations'] as object | undefined), idempotentHint: true };
    return [{ ...tool, annotations }];
  }
}
