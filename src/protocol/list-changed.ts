/** The notifications about changed lists, by the kind of their event. */
export const LIST_CHANGED = {
  tools_list_changed: 'notifications/tools/list_changed',
  prompts_list_changed: 'notifications/prompts/list_changed',
  resources_list_changed: 'notifications/resources/list_changed',
} as const;

export type ListChange = keyof typeof LIST_CHANGED;

/** The kinds of these events, by notification. */
export const LIST_CHANGES: ReadonlyMap<string, ListChange> = new Map(
  Object.entries(LIST_CHANGED).map(([kind, method]) => [method, kind as ListChange]),
);
