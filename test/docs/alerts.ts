/** What each alert of `examples/prometheus/alerts.yml` is for, as promtool tests it. */
import { stringify } from 'yaml';

interface Case {
  readonly alert: string;
  /** When it is looked at. */
  readonly at: string;
  /** The values of a series of one instance, a sample each 15 s, as promtool writes them. */
  readonly series: Readonly<Record<string, string>>;
  /** The labels of the alert, beside those of its instance; without them it must not fire. */
  readonly fires?: Readonly<Record<string, string>>;
  readonly says?: string;
}

const CASES: readonly Case[] = [
  {
    alert: 'SojournDown',
    at: '3m',
    series: { up: '1x4 0x20' },
    fires: { severity: 'page' },
    says: 'a:9464 answers no scrape',
  },
  {
    alert: 'SojournStoreAway',
    at: '3m',
    series: { 'sojourn_store_up{worker="1"}': '1x40', 'sojourn_store_up{worker="2"}': '1x4 0x30' },
    fires: { severity: 'page' },
    says: 'a:9464 cannot reach the session store; its requests wait, then fail',
  },
  { alert: 'SojournStoreAway', at: '75s', series: { sojourn_store_up: '1x4 0 1x30' } },
  {
    alert: 'SojournWaitsFail',
    at: '3m',
    series: { 'sojourn_wait_duration_seconds_count{reason="store_away", outcome="refused"}': '0x4 3x20' },
    fires: { severity: 'page', outcome: 'refused' },
    says: 'Calls waited for the store or the lease and got an error on a:9464',
  },
  {
    alert: 'SojournWaitsFail',
    at: '3m',
    series: { 'sojourn_wait_duration_seconds_count{reason="store_away", outcome="served"}': '0x4 3x20' },
  },
  {
    alert: 'SojournInstancesApart',
    at: '4m',
    series: { 'sojourn_relays_total{outcome="unreachable"}': '0+1x20' },
    fires: { severity: 'page', outcome: 'unreachable' },
    says: 'Messages of a:9464 to another living instance do not pass',
  },
  {
    alert: 'SojournWorkersCrash',
    at: '6m',
    series: { 'sojourn_worker_deaths_total{worker="1"}': '0x4 1x4 2x4 4x40' },
    fires: { severity: 'page' },
    says: 'Workers of a:9464 crash again and again',
  },
  { alert: 'SojournWorkersCrash', at: '6m', series: { 'sojourn_worker_deaths_total{worker="1"}': '0x4 1x40' } },
  {
    alert: 'SojournWorkerStuck',
    at: '4m',
    series: { 'sojourn_worker_up{worker="2"}': '1x4 0x20' },
    fires: { severity: 'page', worker: '2' },
    says: 'Worker 2 of a:9464 does not answer',
  },
  {
    alert: 'SojournMemoryFull',
    at: '8m',
    series: {
      'sojourn_memory_bytes{row="answers"}': '700x60',
      'sojourn_memory_bytes{row="requests"}': '200x60',
      sojourn_memory_limit_bytes: '1000x60',
    },
    fires: { severity: 'page' },
    says: 'Clients fill limits.memoryBytes of a:9464; large requests are refused soon',
  },
  {
    alert: 'SojournCallsLost',
    at: '4m',
    series: { 'sojourn_lost_calls_total{outcome="ended"}': '0x4 2x20' },
    fires: { severity: 'ticket', outcome: 'ended' },
    says: 'Running calls ended with owner_lost, as a:9464 found',
  },
  { alert: 'SojournCallsLost', at: '4m', series: { 'sojourn_lost_calls_total{outcome="ran_again"}': '0x4 2x20' } },
  {
    alert: 'SojournLeaseLapses',
    at: '5m',
    series: { sojourn_leases_lapsed_total: '0x4 1x4 3x20' },
    fires: { severity: 'ticket' },
    says: 'a:9464 lost its lease more than once in 15 minutes',
  },
  {
    alert: 'SojournStoreSlow',
    at: '12m',
    series: {
      'sojourn_store_call_duration_seconds_bucket{operation="sessions.append", le="0.5"}': '0+8x80',
      'sojourn_store_call_duration_seconds_bucket{operation="sessions.append", le="1"}': '0+10x80',
      'sojourn_store_call_duration_seconds_bucket{operation="sessions.append", le="+Inf"}': '0+10x80',
    },
    fires: { severity: 'ticket' },
    says: 'One of 100 calls of a:9464 to its store takes more than 0.5 s',
  },
  {
    alert: 'SojournEventLoopLate',
    at: '8m',
    series: { 'sojourn_event_loop_delay_seconds{stat="p99"}': '0.9x60' },
    fires: { severity: 'ticket', stat: 'p99' },
    says: 'Code blocks the event loop of a:9464',
  },
  {
    alert: 'SojournToolFails',
    at: '25m',
    series: {
      'mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call", gen_ai_tool_name="add"}': '0+6x120',
      'mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call", gen_ai_tool_name="add", error_type="tool_error"}':
        '0+4x120',
    },
    fires: { severity: 'ticket', gen_ai_tool_name: 'add' },
    says: 'A quarter of the calls of add fail on a:9464',
  },
  {
    alert: 'SojournToolFails',
    at: '25m',
    series: {
      'mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call", gen_ai_tool_name="add"}': '0+96x120',
      'mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call", gen_ai_tool_name="add", error_type="tool_error"}':
        '0+4x120',
    },
  },
  {
    alert: 'SojournRefusals',
    at: '25m',
    series: { 'sojourn_refusals_total{reason="host", http_response_status_code="403"}': '0+60x120' },
    fires: { severity: 'ticket', reason: 'host' },
    says: 'a:9464 refuses more than one request a second: host',
  },
];

const OF = { instance: 'a:9464', job: 'sojourn' };

/** `up{worker="1"}` → `up{instance="a:9464", job="sojourn", worker="1"}` */
function ofInstance(series: string): string {
  const [name = '', labels] = series.split(/[{}]/);
  const own = Object.entries(OF).map(([label, value]) => `${label}="${value}"`);
  return `${name}{${[...own, ...(labels === undefined ? [] : [labels])].join(', ')}}`;
}

/** The file that `promtool test rules` takes. */
export function promtoolTests(rules: string): string {
  const tests = CASES.map(({ alert, at, series, fires, says }) => ({
    interval: '15s',
    input_series: Object.entries(series).map(([name, values]) => ({ series: ofInstance(name), values })),
    alert_rule_test: [
      {
        eval_time: at,
        alertname: alert,
        exp_alerts: fires ? [{ exp_labels: { ...OF, ...fires }, exp_annotations: { summary: says } }] : [],
      },
    ],
  }));
  return stringify({ rule_files: [rules], evaluation_interval: '15s', tests });
}
