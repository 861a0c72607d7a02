/** One task: how far is it, who holds it, and what does it wait for? */
import type { TaskDetail } from '../../src/dashboard/wire-pages.ts';
import { bytes, count, many, NONE, span } from '../format.ts';
import { nameOf, now } from '../state/model.ts';
import { leftText, runsText, STATE_ICON, stateOf } from '../tasks/words.ts';
import { confirm } from '../ui/actions.tsx';
import { DetailFrame, useDetail } from '../ui/detail.tsx';
import { Will, WillLine } from '../ui/dialog.tsx';
import { Icon } from '../ui/icon.tsx';
import { Fact } from '../ui/parts.tsx';
import { toast } from '../ui/toast.tsx';
import { When } from '../ui/when.tsx';
import { Lanes } from './lanes.tsx';
import { openQuestions, runsOf } from './runs.ts';
import { Story } from './story.tsx';

const OWNED_MS = 1_000;
const STORED_MS = 5_000;

function confirmCancel({ hash, tool, steps, owner }: TaskDetail, reload: () => void): void {
  confirm({
    title: 'Cancel this task?',
    yes: 'Cancel task',
    no: 'Keep it',
    danger: true,
    body: () => (
      <Will>
        <WillLine icon="gone">
          The client of <b>{tool ?? hash}</b> sees <code>cancelled</code>. A result that comes later is dropped.
        </WillLine>
        {owner !== undefined && (
          <WillLine icon="draining">
            Its handler on {nameOf(owner)} hears that it shall stop, and may ignore that.
          </WillLine>
        )}
        <WillLine icon="rest">
          What its steps have done stays done. {steps !== undefined && `${many(steps, 'step')} recorded.`}
        </WillLine>
        <WillLine icon="lock">This cannot be undone.</WillLine>
      </Will>
    ),
    path: `tasks/${hash}/cancel`,
    done: () => {
      toast('The task is cancelled');
      reload();
    },
  });
}

const Crumb = ({ hash }: { hash: string }) => (
  <p class="crumb">
    <a href="#/tasks">Tasks</a> / <span class="mono">{hash}</span>
  </p>
);

function stateText(detail: TaskDetail): string {
  const { status, state, owner, updatedAt = detail.at } = detail;
  const asked = openQuestions(detail).map(({ name }) => `“${name}”`);
  const since = span(now.value - updatedAt);
  if (status === 'orphaned') return 'Its owner went away. Another instance continues it, or ends it.';
  if (asked.length > 0 && owner === undefined)
    return `Waits for an answer to ${asked.join(', ')} for ${since}. No process holds it.`;
  if (asked.length > 0) return `Waits on ${nameOf(owner)} for an answer to ${asked.join(', ')}.`;
  if (owner !== undefined) return `Runs on ${nameOf(owner)}.`;
  if (state === 'detached') return 'Work elsewhere ends it. No process holds it.';
  return 'No process holds it. The next instance with room continues it.';
}

function Sentence({ detail }: { detail: TaskDetail }) {
  const cuts = runsOf(detail).filter(({ isCut }) => isCut).length;
  const { message } = detail;
  return (
    <p>
      {stateText(detail)} {message !== undefined && `It says “${message}”. `}
      {cuts > 0 && `${many(cuts, 'run')} ${cuts === 1 ? 'was' : 'were'} cut; recorded steps do not run again.`}
    </p>
  );
}

function Questions({ questions = [] }: TaskDetail) {
  if (questions.length === 0) return null;
  return (
    <section>
      <h2>{many(questions.length, 'question')}</h2>
      <dl class="facts">
        {questions.map(({ name, method, answered }) => (
          <Fact key={name} name={answered ? 'Answered' : 'Open'}>
            <code>{name}</code> {method}
          </Fact>
        ))}
      </dl>
      <p class="sub">Texts and answers are not shown. Its client answers, not this page.</p>
    </section>
  );
}

const REPEATS: Readonly<Record<string, string>> = { true: 'yes (resume)', false: 'no', undefined: 'as its tool says' };

const Facts = ({ detail }: { detail: TaskDetail }) => (
  <aside aria-label="Facts">
    <Questions {...detail} />
    <section>
      <h2>Task</h2>
      <dl class="facts">
        <Fact name="Runs">{runsText(detail)}</Fact>
        <Fact name="Attempt">
          {count(detail.attempt)} of {count(detail.maxAttempts)}
        </Fact>
        <Fact name="Steps">
          {count(detail.steps)} recorded, {bytes(detail.stepBytes)}
        </Fact>
        <Fact name="Repeatable">{REPEATS[String(detail.resume)]}</Fact>
        <Fact name="User">{detail.userName ?? NONE}</Fact>
        <Fact name="Created">
          <When at={detail.createdAt} ago />
        </Fact>
        <Fact name="Changed">
          <When at={detail.updatedAt} ago />
        </Fact>
        <Fact name="Time left">{leftText(detail)}</Fact>
        <Fact name="Record">{bytes(detail.bytes)}</Fact>
      </dl>
    </section>
  </aside>
);

function Open({ detail, reload }: { detail: TaskDetail; reload: () => void }) {
  const { hash, tool, userName, status = 'working' } = detail;
  const state = stateOf({ status });
  return (
    <div class="page">
      <div class="body">
        <Crumb hash={hash} />
        <div class="title">
          <div class="grow">
            <h1>
              {tool ?? 'Task'}
              <small class="pill">
                {userName ?? 'no user'}, <Icon name={STATE_ICON[state]} /> {state}
              </small>
            </h1>
            <Sentence detail={detail} />
          </div>
          <button class="btn" type="button" onClick={() => confirmCancel(detail, reload)}>
            Cancel task…
          </button>
        </div>
        <Lanes detail={detail} now={Math.max(now.value, detail.at)} />
        <Story detail={detail} />
      </div>
      <Facts detail={detail} />
    </div>
  );
}

const ENDS: Readonly<Record<NonNullable<TaskDetail['ended']>['status'], string>> = {
  completed: 'This task is completed.',
  failed: 'This task has failed.',
  cancelled: 'This task was cancelled.',
  expired: 'The time of this task is over.',
  unreadable: 'Another build has ended this task.',
};

function Ended({ hash, tool, message, createdAt, ended }: TaskDetail & Required<Pick<TaskDetail, 'ended'>>) {
  const { status, at, errorCode, reason } = ended;
  return (
    <div class="page">
      <div class="body">
        <Crumb hash={hash} />
        <div class="title">
          <div class="grow">
            <h1>
              <Icon name={STATE_ICON[status]} /> {ENDS[status]}
              <small>{tool}</small>
            </h1>
            <p>
              It ended <When at={at} ago />
              {createdAt !== undefined && `, ${span(at - createdAt)} after its call`}.{' '}
              {errorCode !== undefined && (
                <>
                  Error <code>{[errorCode, reason].filter((part) => part !== undefined).join(' ')}</code>.{' '}
                </>
              )}
              {message !== undefined && `It said “${message}”. `}Its steps went with its end; its client may ask for the
              result.
            </p>
          </div>
        </div>
      </div>
    </div>
  );
}

const Unknown = ({ hash }: { hash: string }) => (
  <div class="blank">
    <h1>This store does not know the task {hash}.</h1>
    <p>
      It has ended, its time was over, or it was in the memory of a process that ended (option <code>store</code>).
      Tasks that have ended are not listed.
    </p>
    <p>
      <a href="#/tasks">All tasks</a>
    </p>
  </div>
);

function Shown({ loaded, hash, reload }: { loaded: TaskDetail | 'unknown'; hash: string; reload: () => void }) {
  if (loaded === 'unknown') return <Unknown hash={hash} />;
  const { ended } = loaded;
  return ended === undefined ? <Open detail={loaded} reload={reload} /> : <Ended {...loaded} ended={ended} />;
}

const everyMs = (loaded: TaskDetail | 'unknown' | undefined): number =>
  loaded === undefined || (loaded !== 'unknown' && loaded.owner !== undefined) ? OWNED_MS : STORED_MS;

export function TaskView({ hash }: { hash: string }) {
  const detail = useDetail<TaskDetail>(`tasks/${encodeURIComponent(hash)}`, everyMs);
  const { loaded, reload } = detail;
  return (
    <DetailFrame of={detail}>
      {loaded !== undefined && <Shown loaded={loaded} hash={hash} reload={reload} />}
    </DetailFrame>
  );
}
