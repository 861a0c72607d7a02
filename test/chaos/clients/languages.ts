/** Clients in other languages: programs of `test/clients/programs`. What they send is not seen, nor their session. */
// @ts-expect-error: a script without declarations
import { commandOf, lackOf } from '../../../scripts/servers.mjs';
import { type Era, OtherProgram } from '../../clients/other-client.ts';
import type { ProgramName } from '../../clients/other-titles.ts';
import type { Connected, UserKind } from './user-actor.ts';

export const LANGUAGES = ['python', 'go', 'rust', 'java'] as const;
export type Language = (typeof LANGUAGES)[number];

const PROGRAMS: Readonly<Record<Language, readonly (readonly [program: ProgramName, eras: readonly Era[]])[]>> = {
  python: [
    ['python-1', ['2025']],
    ['python-2', ['2025', '2026']],
  ],
  go: [
    ['go-sdk', ['2025', '2026']],
    ['mcp-go', ['2025', '2026']],
  ],
  rust: [['rmcp', ['2025', '2026']]],
  java: [['java', ['2025']]],
};

export class OtherPrograms {
  /** Each program with each protocol version that it can choose. */
  readonly kinds: readonly UserKind[];
  readonly #programs: readonly OtherProgram[];

  private constructor(kinds: readonly UserKind[], programs: readonly OtherProgram[]) {
    this.kinds = kinds;
    this.#programs = programs;
  }

  /** What this machine lacks for the programs of these languages, each with the name of its program. */
  static async lackingFor(languages: readonly Language[]): Promise<readonly string[]> {
    const lacking: string[] = [];
    for (const [name] of languages.flatMap((language) => PROGRAMS[language])) {
      const lack: string | undefined = await lackOf(name);
      if (lack !== undefined) lacking.push(`${name}: ${lack}`);
    }
    return lacking;
  }

  /** Builds what is missing. Rejects where this machine cannot. */
  static async start(languages: readonly Language[]): Promise<OtherPrograms> {
    const lacking = await OtherPrograms.lackingFor(languages);
    if (lacking.length > 0) throw new Error(lacking.join('; '));
    const chosen = languages.flatMap((language) => PROGRAMS[language]);
    const running = chosen.map(([name, eras]) => ({ name, eras, program: new OtherProgram(commandOf(name)) }));
    const kinds = running.flatMap(({ name, eras, program }) =>
      eras.map((era): UserKind => ({
        name: `${name.replaceAll(/\W/g, '')}of${era}`,
        answersNothing: true,
        connect: (url) => connect(program, url, era),
      })),
    );
    return new OtherPrograms(
      kinds,
      running.map(({ program }) => program),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.close()));
  }
}

async function connect(program: OtherProgram, url: string, era: Era): Promise<Connected> {
  const client = await program.connect(url, era);
  return {
    get dead() {
      return client.dead;
    },
    async call(tool, { nonce, ms }, timeoutMs) {
      const outcome = await client.outcome(tool, { nonce, ms }, timeoutMs);
      if (outcome?.event !== 'answered')
        throw new Error(outcome?.error ?? client.dead ?? `no answer within ${timeoutMs} ms`);
      const { text = '', isError = false } = outcome;
      return { content: [{ text }], isError };
    },
    close: async () => void (await client.close()),
  };
}
