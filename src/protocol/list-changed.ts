/** The notifications about changed lists, by the kind of their event. */
export const LIST_CHANGED = {
  tools_list_changed: 'notifications/tools/list_changed',
  prompts_list_changed: 'notifications/prompts/list_changed',
  resources_list_changed: 'notifications/resources/list_changed',
} as const;

/** The names of the lists, by the notification that one has changed. */
export const CHANGED_LISTS: ReadonlyMap<string, string> = new Map([
  [LIST_CHANGED.tools_list_changed, 'tools'],
  [LIST_CHANGED.prompts_list_changed, 'prompts'],
  [LIST_CHANGED.resources_list_changed, 'resources'],
]);
