/** What the page shows of the pod that serves it. */
export interface DashboardInfo {
  readonly pod: string;
  readonly version: string;
  /** Clients of this pod. */
  readonly connections: number;
  /** Newest offset of the journal on this pod. */
  readonly head: string;
}

/** What a page must present to publish: the token of the link that the gateway shows when it starts, or a key of `API_KEY`. */
export type PublishWith = 'link' | 'api_key';

/** Answer of `GET /dashboard/info`. */
export interface PageInfo extends DashboardInfo {
  readonly publishWith: PublishWith;
  /** Whether the page has presented that. */
  readonly mayPublish: boolean;
}
