/** What happened to a session, newest first. A request with its messages is one row, which opens. */
import { useState } from 'preact/hooks';
import type { EventRow, MessageRow, PayloadLine, SessionDetail, TimelineRow } from '../../src/dashboard/wire-pages.ts';
import { many, ms, NONE } from '../format.ts';
import { nameOf } from '../state/model.ts';
import { Icon, type IconName } from '../ui/icon.tsx';
import { Segments } from '../ui/parts.tsx';
import { When } from '../ui/when.tsx';

type Kind = 'all' | 'messages' | 'events' | 'odd';

const KINDS = [
  { key: 'all', label: 'All' },
  { key: 'messages', label: 'Messages' },
  { key: 'events', label: 'Events' },
  { key: 'odd', label: 'Waited or moved' },
] as const;

const MOVED: ReadonlySet<EventRow['what']> = new Set([
  'woken',
  'takenOver',
  'migrated',
  'reclaimed',
  'resumed',
  'waited',
]);

const isOdd = (row: TimelineRow): boolean =>
  row.kind === 'event'
    ? MOVED.has(row.what)
    : row.waitedMs !== undefined || ['again', 'kept', 'resumed', 'lost'].includes(row.outcome ?? '');

const FITS: Record<Kind, (row: TimelineRow) => boolean> = {
  all: () => true,
  messages: ({ kind }) => kind === 'message',
  events: ({ kind }) => kind === 'event',
  odd: isOdd,
};

const EVENT_MARKS: Record<EventRow['what'], readonly [IconName, string]> = {
  opened: ['serving', ''],
  hibernated: ['rest', ''],
  woken: ['moved', 'moved'],
  takenOver: ['moved', 'moved'],
  migrated: ['moved', 'moved'],
  reclaimed: ['moved', 'moved'],
  released: ['rest', ''],
  fenced: ['moved', 'moved'],
  resumed: ['in', ''],
  waited: ['wait', 'wait'],
  ended: ['gone', 'bad'],
};

function Event({ at, what, text }: EventRow) {
  const [icon, name] = EVENT_MARKS[what] ?? ['serving', ''];
  return (
    <li class={`ev ${name}`}>
      <When at={at} />
      <Icon name={icon} />
      <span class="what">{text}</span>
    </li>
  );
}

const WAITED_FOR = { owner: 'for its owner', store: 'for the store', lease: 'for the lease', place: 'for a place' };
const OUTCOMES: Record<NonNullable<MessageRow['outcome']>, string> = {
  again: 'ran again',
  kept: 'its answer was stored',
  resumed: 'resumed',
  lost: 'may have run: its client knows',
  failed: 'failed',
  left: 'its client left',
  runs: 'runs',
};

function noteOf({ waitedMs, waitedFor, outcome, error, via }: MessageRow): string {
  const parts = [
    waitedMs !== undefined && `waited ${ms(waitedMs)}${waitedFor === undefined ? '' : ` ${WAITED_FOR[waitedFor]}`}`,
    outcome !== undefined && OUTCOMES[outcome],
    error,
    via !== undefined && `passed on by ${nameOf(via) ?? via}`,
  ].filter((part) => typeof part === 'string' && part !== '');
  return parts.join(', ');
}

const Payload = ({ lines }: { lines: readonly PayloadLine[] }) => (
  <div class="payload">
    {lines.map(({ path, type, length, value }) => (
      <span key={path}>
        <code>{path}</code>{' '}
        <span class="dim">
          {type}
          {length !== undefined && `, ${length}`}
        </span>
        {value !== undefined && (
          <>
            {' '}
            <code>{value}</code>
          </>
        )}
      </span>
    ))}
  </div>
);

/** What a row has when it is open. */
function Parts({ row, payloads }: { row: MessageRow; payloads: boolean }) {
  const { via, instance, payload } = row;
  return (
    <div class="parts">
      {via !== undefined && (
        <span>
          arrived at {nameOf(via) ?? via}, passed on to {nameOf(instance) ?? NONE}
        </span>
      )}
      {payload === undefined ? (
        <span class="dim">{payloads ? 'No payload was kept of this message.' : 'Payloads are off.'}</span>
      ) : (
        <Payload lines={payload} />
      )}
    </div>
  );
}

function Message({ row, payloads }: { row: MessageRow; payloads: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const { at, direction, method, target, stream, instance, ms: took, outcome } = row;
  const isNoted = row.waitedMs !== undefined || ['again', 'lost', 'kept'].includes(outcome ?? '');
  const hasParts = row.via !== undefined || row.payload !== undefined;
  return (
    <li>
      <When at={at} />
      <Icon name={direction === 'in' ? 'out' : 'in'} />
      <span class="what">
        <span class="sr">{direction === 'in' ? 'from client ' : 'to client '}</span>
        <code>{method}</code> {target}
      </span>
      <span class="sub st">{stream}</span>
      <span class="sub inst">{nameOf(instance)}</span>
      <span class={isNoted ? 'took num c-wait' : 'took num'}>{took === undefined ? NONE : ms(took)}</span>
      <span class="note">{noteOf(row)}</span>
      {hasParts ? (
        <button class="xp" type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          <Icon name="right" />
          <span class="sr">
            More of {method} {target}
          </span>
        </button>
      ) : (
        <span />
      )}
      {isOpen && <Parts row={row} payloads={payloads} />}
    </li>
  );
}

const CUTS = {
  ring: 'Earlier rows are not kept: an instance keeps the latest of each session.',
  process:
    'What a process alone had seen ended with it. Earlier rows: what other instances passed on, and the event log.',
};

export function Timeline({ detail }: { detail: SessionDetail }) {
  const [kind, setKind] = useState<Kind>('all');
  const rows = detail.timeline.filter(FITS[kind]);
  const payloads = detail.payloadsUntil !== undefined && detail.payloadsUntil > detail.at;
  return (
    <>
      <div class="tbar">
        <Segments label="Show" on={kind} items={KINDS} choose={setKind} />
        <span class="dim">newest first, {many(rows.length, 'row')}</span>
      </div>
      <ol class="tl">
        {rows.map((row) =>
          row.kind === 'event' ? (
            <Event key={`${row.at} ${row.what}`} {...row} />
          ) : (
            <Message
              key={`${row.at} ${row.method} ${row.target ?? ''} ${row.direction}`}
              row={row}
              payloads={payloads}
            />
          ),
        )}
        {rows.length === 0 && (
          <li class="ev">
            <span />
            <span />
            <span class="what sub">
              {detail.timeline.length > 0 ? 'No row fits.' : 'No instance has kept what happened.'}
            </span>
          </li>
        )}
        {detail.cut !== undefined && (
          <li class="ev">
            <span />
            <Icon name="rest" />
            <span class="what">{CUTS[detail.cut]}</span>
          </li>
        )}
      </ol>
    </>
  );
}
