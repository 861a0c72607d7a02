/**
 * Items of the behaviour list that have no test of their own here: why, and what holds or happens instead. At most ten.
 */
export const NOT_APPLICABLE: ReadonlyArray<{ item: number; what: string; why: string; instead: string }> = [
  {
    item: 126,
    what: 'writers of a store keep to its contract',
    why: 'it is about stores, not about an endpoint',
    instead: 'the contract suite that every store runs (`sojourn/testing`) holds it',
  },
  {
    item: 128,
    what: 'events come back from a store as they were written',
    why: 'it is about stores, not about an endpoint',
    instead: 'the contract suite that every store runs (`sojourn/testing`) holds it',
  },
  {
    item: 129,
    what: 'readers of a store keep to its contract',
    why: 'it is about stores, not about an endpoint',
    instead: 'the contract suite that every store runs (`sojourn/testing`) holds it',
  },
  {
    item: 159,
    what: 'a routing name of one’s own',
    why: 'the SDK has nothing to declare a routing name with',
    instead: '`Mcp-Name` mirrors the tool, the prompt or the resource (item 158)',
  },
  {
    item: 178,
    what: '2026-07-28 on the 2024-11-05 transport',
    why: '2026-07-28 has no such transport',
    instead: 'sessions of the earlier revisions alone use it',
  },
];
