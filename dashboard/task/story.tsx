/** What happened to a task, newest first: its steps, and the runs of its handler. */
import { useState } from 'preact/hooks';
import type { TaskDetail } from '../../src/dashboard/wire-pages.ts';
import { many, ms, NONE } from '../format.ts';
import { nameOf } from '../state/model.ts';
import { Icon, type IconName } from '../ui/icon.tsx';
import { Segments } from '../ui/parts.tsx';
import { When } from '../ui/when.tsx';
import { idleSince, openQuestions, runName, runsOf, type ShownRun } from './runs.ts';

type Kind = 'all' | 'steps' | 'events';

const KINDS = [
  { key: 'all', label: 'All' },
  { key: 'steps', label: 'Steps' },
  { key: 'events', label: 'Events' },
] as const;

interface EventLine {
  readonly kind: 'event';
  readonly at: number;
  readonly mark: '' | 'moved' | 'bad' | 'wait';
  readonly icon: IconName;
  readonly text: string;
}

interface StepLine {
  readonly kind: 'step';
  readonly at: number;
  readonly name: string;
  readonly ms: number | undefined;
  readonly run: ShownRun;
}

type Line = EventLine | StepLine;

const where = (owner: string | undefined): string => nameOf(owner) ?? 'an instance';

/** Oldest first. */
function linesOfRun(run: ShownRun): readonly Line[] {
  const name = runName(run);
  const lines: Line[] = [];
  const event = (at: number, mark: EventLine['mark'], icon: IconName, text: string): void =>
    void lines.push({ kind: 'event', at, mark, icon, text });
  if (run.isTakeOver)
    event(run.begin, 'moved', 'moved', `${name} began on ${where(run.owner)}. Recorded steps do not run again.`);
  else if (run.run > 1) event(run.begin, '', 'serving', `${name} began on ${where(run.owner)}.`);
  for (const { begin, name: step, ms: took } of run.bars)
    lines.push({ kind: 'step', at: begin, name: step, ms: took, run });
  if (run.end !== undefined) event(run.end, '', 'rest', `${name} released the task.`);
  else if (run.isCut && run.until !== undefined) {
    const text = `${where(run.owner)} went away in ${name.toLowerCase()}. A step that was not recorded may run again.`;
    event(run.until, 'bad', 'gone', text);
  }
  return lines;
}

/** Newest first. */
function linesOf(detail: TaskDetail): readonly Line[] {
  const { createdAt, updatedAt = detail.at } = detail;
  const runs = runsOf(detail);
  const lines = runs.flatMap(linesOfRun);
  if (createdAt !== undefined)
    lines.unshift({ kind: 'event', at: createdAt, mark: '', icon: 'serving', text: 'Created. Its client may leave.' });
  const asked = openQuestions(detail).map(({ name }) => `“${name}”`);
  const idle = idleSince(detail, runs);
  if (asked.length > 0) {
    const holds = idle === undefined ? '' : ' No process holds it; any instance continues it with the answer.';
    const text = `It asks its client ${asked.join(', ')}.${holds}`;
    lines.push({ kind: 'event', at: idle ?? updatedAt, mark: 'wait', icon: 'wait', text });
  }
  return lines.sort((one, other) => one.at - other.at).reverse();
}

function Step({ at, name, ms: took, run }: StepLine) {
  const outcome = took !== undefined ? 'recorded' : run.isCut ? 'cut' : 'runs';
  return (
    <li>
      <When at={at} />
      <Icon name="out" />
      <span class="what">
        <code>step</code> {name}
      </span>
      <span class="sub st" />
      <span class="sub inst">{nameOf(run.owner)}</span>
      <span class="took num">{took === undefined ? NONE : ms(took)}</span>
      <span class="note">
        attempt {run.attempt}, {outcome}
      </span>
    </li>
  );
}

export function Story({ detail }: { detail: TaskDetail }) {
  const [kind, setKind] = useState<Kind>('all');
  const lines = linesOf(detail).filter((line) => kind === 'all' || `${line.kind}s` === kind);
  const hidden = (detail.steps ?? 0) - (detail.bars ?? []).filter((bar) => bar.ms !== undefined).length;
  return (
    <>
      <div class="tbar">
        <Segments label="Show" on={kind} items={KINDS} choose={setKind} />
        <span class="dim">
          newest first, {many(lines.length, 'row')}
          {hidden > 0 && `; ${many(hidden, 'earlier step')} not shown`}
        </span>
      </div>
      <ol class="tl">
        {lines.map((line) =>
          line.kind === 'step' ? (
            <Step key={`${line.run.run} ${line.name} ${line.at}`} {...line} />
          ) : (
            <li key={`${line.at} ${line.text}`} class={`ev ${line.mark}`}>
              <When at={line.at} />
              <Icon name={line.icon} />
              <span class="what">{line.text}</span>
            </li>
          ),
        )}
      </ol>
    </>
  );
}
