/** Refusals: "Cursor cannot connect." Why? */
import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import type { RefusalReason, Refusals, RefusedCaller } from '../../src/dashboard/wire-pages.ts';
import { count, many, NONE } from '../format.ts';
import { get } from '../net/api.ts';
import { hello, now } from '../state/model.ts';
import { go, route } from '../state/route.ts';
import { Icon } from '../ui/icon.tsx';
import { Code, Segments } from '../ui/parts.tsx';
import { usePolled } from '../ui/polled.ts';
import { When } from '../ui/when.tsx';
import { titleOf } from './titles.ts';

const refusals = signal<Refusals | undefined>(undefined);
const failure = signal<string | undefined>(undefined);

async function load(): Promise<void> {
  try {
    refusals.value = await get<Refusals>('refusals');
    failure.value = undefined;
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error);
  }
}

const STILL_MS = 60_000;

/** Refusals a minute of the last half hour. Vermilion while it still happens. */
function Bars({ minutes = [], lastAt }: RefusalReason) {
  const shown = minutes.slice(-30);
  const most = Math.max(1, ...shown);
  const isStill = now.value - lastAt < STILL_MS;
  return (
    <svg viewBox="0 0 120 18" aria-hidden="true">
      {shown.map((value, k) => {
        const tall = value === 0 ? 1 : 2 + (value / most) * 16;
        const isNew = isStill && k >= shown.length - 3 && value > 0;
        return (
          <path
            key={k}
            class={isNew ? 'bar' : 'bar flat'}
            d={`M${k * 4} 18v${(-tall).toFixed(1)}h3v${tall.toFixed(1)}z`}
          />
        );
      })}
    </svg>
  );
}

const Tag = ({ status, reason }: RefusalReason) => (
  <code>
    {status} {reason}
  </code>
);

function ReasonRow({ one, isChosen }: { one: RefusalReason; isChosen: boolean }) {
  return (
    <li>
      <button
        class="reason"
        type="button"
        aria-current={isChosen ? 'true' : undefined}
        onClick={() => go(`#/refusals?reason=${encodeURIComponent(one.reason)}`, 'why-title')}
      >
        <span class="w">{titleOf(one.reason)}</span>
        <span class="n">{count(one.times)}</span>
        <span class="d">
          <span>
            <Tag {...one} />, <When at={one.lastAt} ago />
          </span>
          <Bars {...one} />
        </span>
      </button>
    </li>
  );
}

type Way = 'flag' | 'variable' | 'module';

const WAYS = [
  { key: 'flag', label: 'Flag' },
  { key: 'variable', label: 'Variable' },
  { key: 'module', label: 'Module' },
] as const;

function Allow({ allow = {}, advice }: RefusalReason) {
  const ways = WAYS.filter(({ key }) => allow[key] !== undefined);
  const [chosen, choose] = useState<Way>('flag');
  const way = ways.find(({ key }) => key === chosen)?.key ?? ways[0]?.key;
  const text = way === undefined ? undefined : allow[way];
  return (
    <section>
      <div class="row">
        <h3 class="grow">{text === undefined ? 'What to do' : 'What allows it'}</h3>
        {way !== undefined && ways.length > 1 && <Segments label="Where" on={way} items={ways} choose={choose} />}
      </div>
      {text !== undefined && <Code text={text} />}
      <p class="sub">
        {advice ?? (text === undefined ? 'No option allows it: the caller must change what it sends.' : '')}
      </p>
    </section>
  );
}

const CALLER_COLUMNS: readonly { label: string; of: (caller: RefusedCaller) => string | undefined; class?: string }[] =
  [
    { label: 'Origin', of: ({ origin }) => origin },
    { label: 'Host', of: ({ host }) => host },
    { label: 'Client', of: ({ client }) => client },
    { label: 'User', of: ({ userName }) => userName },
    { label: 'Cause', of: ({ why }) => why },
    { label: 'Address', of: ({ address }) => address, class: 'opt' },
  ];

function Callers({ callers, others = 0 }: RefusalReason) {
  const columns = CALLER_COLUMNS.filter(({ of }) => callers.some((caller) => of(caller) !== undefined));
  return (
    <section>
      <h3>Who</h3>
      <div class="wrap">
        <table class="plain">
          <thead>
            <tr>
              {columns.map(({ label, class: name }) => (
                <th key={label} class={name} scope="col">
                  {label}
                </th>
              ))}
              <th class="num" scope="col">
                Times
              </th>
              <th class="num" scope="col">
                Last
              </th>
            </tr>
          </thead>
          <tbody>
            {callers.map((caller, k) => (
              <tr key={k}>
                {columns.map(({ label, of, class: name }) => (
                  <td key={label} class={name}>
                    {of(caller) ?? NONE}
                  </td>
                ))}
                <td class="num">{count(caller.times)}</td>
                <td class="num">
                  <When at={caller.lastAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {others > 0 && <p class="sub">{many(others, 'refusal')} of other callers</p>}
    </section>
  );
}

function Why({ one }: { one: RefusalReason }) {
  return (
    <section class="why" aria-labelledby="why-title">
      <h2 id="why-title" tabindex={-1}>
        {titleOf(one.reason)}
      </h2>
      <p class="sub">
        <Tag {...one} />, {count(one.times)} in the last hour, last <When at={one.lastAt} ago />
      </p>
      <section>
        <h3>What the caller reads</h3>
        <p class="sub">{one.why}</p>
      </section>
      <Allow key={one.reason} {...one} />
      {one.callers.length > 0 && <Callers {...one} />}
    </section>
  );
}

function NoRefusal() {
  const url = hello.value?.endpoint ?? new URL('../mcp', document.baseURI).href;
  return (
    <div class="blank">
      <h1>No request was refused in the last hour.</h1>
      <p>
        A client that cannot connect appears here within a second: who it was, why, and which option allows it. Requests
        that never arrive cannot be seen from here.
      </p>
      <p>To see one, send a request with a foreign origin:</p>
      <Code text={`curl -s ${url} -H 'Origin: https://elsewhere.example' -d '{}'`} />
    </div>
  );
}

function Some({ reasons }: Refusals) {
  const wanted = route.value.query.get('reason');
  const chosen = reasons.find(({ reason }) => reason === wanted) ?? reasons[0];
  const all = reasons.reduce((sum, { times }) => sum + times, 0);
  return (
    <div class="col">
      <header class="head">
        <div class="grow">
          <h1>
            {many(all, 'request')} {all === 1 ? 'was' : 'were'} refused in the last hour
            {reasons.length > 1 ? `, for ${reasons.length} reasons.` : '.'}
          </h1>
          <p>By reason. Names and addresses are what the callers sent. Nothing of a refused body is kept.</p>
        </div>
      </header>
      <div class="reasons">
        <ul>
          {reasons.map((one) => (
            <ReasonRow key={one.reason} one={one} isChosen={one === chosen} />
          ))}
        </ul>
        {chosen !== undefined && <Why one={chosen} />}
      </div>
    </div>
  );
}

export function RefusalsView() {
  usePolled(load, 1_000);
  const { value } = refusals;
  return (
    <>
      {failure.value !== undefined && (
        <p class="banner bad" role="status">
          <Icon name="gone" /> {failure.value} {value !== undefined && 'What you see is older.'}
        </p>
      )}
      {value === undefined && failure.value === undefined && <p class="none">Asks the instances…</p>}
      {value !== undefined && (value.reasons.length === 0 ? <NoRefusal /> : <Some {...value} />)}
    </>
  );
}
