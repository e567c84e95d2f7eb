/** What a client wants of an ordinary topic. */
export type TopicAction = 'publish' | 'subscribe'

/**
 * One rule of the configuration or of a token: it has `allow` or `deny`, never both. `topic` is a filter in which `%u`
 * stands for the user and `%d` for the device; `users` left out or holding `*` means everybody.
 */
export interface AclRule { allow?: TopicAction[], deny?: TopicAction[], topic: string, users?: string[] }
