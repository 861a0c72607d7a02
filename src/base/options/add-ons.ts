/** The option `use`: add-ons, whose functions run beside those of the options with their names. */
import type { Observe } from '../observe/observer.ts';
import { optionsContradict } from '../errors.ts';
import type { OnError } from '../types.ts';
import { checkFunction, checkList, checkNames } from './checks.ts';
import type { Middleware } from './middleware.ts';

/** Several options that belong together, such as `telemetry()` of `sojourn/otel`. */
export interface AddOn {
  /** Around the option `middleware`. */
  readonly middleware?: Middleware | undefined;
  readonly observe?: Observe | undefined;
  readonly onerror?: OnError | undefined;
}

/** The add-on itself. A spread copies this member too, and so shows. */
const WHOLE = Symbol('add-on');

/** An add-on whose functions need each other. Spread into another object, it could lose one of them in silence. */
export const wholeAddOn = <A extends AddOn>(addOn: A): A =>
  Object.assign(addOn, { [WHOLE]: addOn });

export function refuseSpread(where: string, given: object): void {
  const whole = (given as { readonly [WHOLE]?: AddOn })[WHOLE];
  if (whole === undefined || whole === given) return;
  throw optionsContradict(
    `${where} spread an add-on such as telemetry(), whose functions belong together: pass it as it is, as in ` +
      'use: [telemetry()], and write observe or middleware of your own beside use',
  );
}

const TAKES = {
  middleware: 'a function (request, next)',
  observe: 'a function (notice)',
  onerror: 'a function (error, context)',
};

export const parseUse = (name: string, given: unknown): readonly AddOn[] =>
  checkList(name, given, 'a list of add-ons, such as [telemetry()]', parseAddOn, 0);

function parseAddOn(name: string, given: unknown): AddOn {
  const members = checkNames(name, given, Object.keys(TAKES));
  refuseSpread(`Option ${name}`, members);
  for (const [member, takes] of Object.entries(TAKES))
    if (members[member] !== undefined) checkFunction(`${name}.${member}`, members[member], takes);
  return members;
}

interface Hooks {
  readonly use: readonly AddOn[];
  readonly middleware: readonly Middleware[];
  readonly observe: Observe | undefined;
  readonly onerror: OnError | undefined;
}

/** Add-ons come first: their middleware is around the other. */
export function withAddOns({ use, middleware, observe, onerror }: Hooks) {
  return {
    middleware: Object.freeze([...use.flatMap((one) => one.middleware ?? []), ...middleware]),
    observe: eachOf<Observe>([...use.map((one) => one.observe), observe]),
    onerror: eachOf<OnError>([...use.map((one) => one.onerror), onerror]),
  };
}

/**
 * A function that calls each hook. A hook that throws or rejects does not keep the others from
 * their call.
 */
function eachOf<Hook extends (...given: never[]) => unknown>(
  given: ReadonlyArray<Hook | undefined>,
): Hook | undefined {
  const hooks = given.filter((hook) => hook !== undefined);
  if (hooks.length < 2) return hooks[0];
  const all = (...values: Parameters<Hook>): unknown =>
    Promise.all(hooks.map(async (hook) => hook(...values)));
  return all as unknown as Hook;
}
