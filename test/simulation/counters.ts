/** Updates of a state in a world: which numbers clients got, and whether one update was made twice, or is lost. */
import type { McpServer } from '@modelcontextprotocol/server';
import { userState } from '../../src/index.ts';
import { said } from '../kit/tool-server.ts';
import type { World } from './world.ts';

const updated = async () => said(await userState().update('n', (before = 0) => before + 1));
const current = async () => said((await userState().get<number>('n')) ?? 0);

export class Counters {
  readonly #world: World;
  readonly #given = new Set<number>();
  /** Updates without an answer: each may have been made. */
  #unknown = 0;

  constructor(world: World) {
    this.#world = world;
  }

  register(server: McpServer): void {
    server.registerTool('count', {}, updated);
    server.registerTool('counted', {}, current);
  }

  /** `undefined`: no number came. */
  answered(n: number | undefined): void {
    if (n === undefined) this.#unknown += 1;
    else if (this.#given.has(n)) this.#world.wrong(`the number ${n} was given out twice`);
    else this.#given.add(n);
  }

  /** Nothing goes wrong any more. */
  settled(final: number | undefined): void {
    if (final === undefined) return this.#world.wrong('a state cannot be read at the end');
    const least = this.#given.size;
    if (final < least) this.#world.wrong(`${least - final} updates are lost of ${least}`);
    if (final > least + this.#unknown)
      this.#world.wrong(`${final} updates were made by ${least + this.#unknown} calls`);
  }
}
