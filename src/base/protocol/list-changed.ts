/** The notifications about changed lists, by the kind of their event. */
import type { ListChange } from './methods.ts';

export const LIST_CHANGED: Readonly<Record<ListChange, string>> = {
  tools_list_changed: 'notifications/tools/list_changed',
  prompts_list_changed: 'notifications/prompts/list_changed',
  resources_list_changed: 'notifications/resources/list_changed',
};
