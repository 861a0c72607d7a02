/** The time from the start of a process to the first answer of its server, beside the official SDK in the same turn. */
import { firstAnswer, initializeLoad, modernCalls } from './requests.ts';
import { summarize } from './report.ts';
import { type Node, ServerProcess } from './server-process.ts';
import { formatTable } from '../src/cli/prove/table.ts';
import { selectWorks, type Side } from './works.ts';

interface Start {
  readonly title: string;
  readonly side: Side;
  readonly first: (port: number) => Promise<unknown>;
  /** To import the modules, to the end of the first answer, and the CPU time until then. */
  readonly spent: { importMs: number; answerMs: number; cpuMs: number }[];
}

function startsOf(baseline: string | undefined): Start[] {
  const firsts = {
    initialize: (port: number) => firstAnswer(initializeLoad(port, '2025-06-18')),
    modern: modernCalls,
  };
  return Object.entries(firsts).flatMap(([id, first]) =>
    selectWorks([id], ['ours', 'baseline', 'official'], baseline)
      .flatMap(({ sides }) => sides)
      .map((side) => ({ title: `${id}: ${side.title}`, side, first, spent: [] })),
  );
}

export async function measureStartup(
  node: Node,
  rounds: number,
  progress: (text: string) => void,
  baseline?: string,
): Promise<string> {
  const starts = startsOf(baseline);
  // The first round loads the files into the system's cache.
  for (let round = 0; round <= rounds; round++) {
    progress(`start-up, round ${round} of ${rounds}`);
    for (const { side, first, spent } of round % 2 === 0 ? starts : starts.toReversed()) {
      const began = performance.now();
      const server = await ServerProcess.start(node, {
        script: 'startup.mjs',
        env: { ...side.env, BENCH_SIDE: side.script },
      });
      try {
        await first(server.port);
        const answerMs = performance.now() - began;
        const inside = await server.ask<{ importMs: number; cpuMs: number }>('spent');
        if (round > 0) spent.push({ ...inside, answerMs });
      } finally {
        await server.stop();
      }
    }
  }
  const rows = starts.map(({ title, spent }) => {
    const median = (key: 'importMs' | 'answerMs' | 'cpuMs'): string =>
      summarize(spent.map((each) => each[key])).median.toFixed(0);
    return [title, median('importMs'), median('cpuMs'), median('answerMs')];
  });
  return `startup\n\n${formatTable([['ms', 'import', 'CPU', 'first answer'], ...rows])}\n`;
}
