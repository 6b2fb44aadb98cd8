import type { Documents } from '../admin/documents.js';
import { CertificateWatch } from '../http/certificate-watch.js';
import { PublicApp } from '../http/public-app.js';
import type { Base } from './base.js';
import { type DashboardParts, serveDashboard } from './dashboard.js';
import { publicAnswers, renewalObserver, wrongTokenObserver } from './observers.js';

/** Builds the app behind the public port, which serves nothing yet. */
export function buildPublicApp({ config, uws, metrics, boundary, refusals, origins }: Base): PublicApp {
  return new PublicApp(uws, config.tls, {
    ...publicAnswers(origins, metrics, refusals),
    boundary,
    basePath: config.basePath,
    maxHeaderBytes: config.maxHeaderBytes,
  });
}

/** Watches the certificate of the public port; `undefined` without TLS. */
export function buildCertificateWatch(
  { config, metrics, log }: Base,
  publicApp: PublicApp,
): CertificateWatch | undefined {
  if (config.tls === undefined) return undefined;
  return new CertificateWatch({
    ...config.tls,
    renew: () => publicApp.renew(),
    onResult: renewalObserver(metrics),
    log,
  });
}

/** What the pages of the public port need, beside the base. */
export interface PageParts extends Pick<DashboardParts, 'publisher' | 'onRejected' | 'describe'> {
  readonly documents: Documents;
}

/**
 * Adds what the public port serves beside Socket.IO: the dashboard and the contract of the feed.
 *
 * @returns the token that the dashboard publishes with; `undefined` where there is no dashboard, or `API_KEY` is set
 */
export function addPages(base: Base, publicApp: PublicApp, { documents, ...parts }: PageParts): string | undefined {
  const { config, pod, log, metrics, refusals } = base;
  const { basePath, apiKeys, maxSignalBytes } = config;
  const onWrong = wrongTokenObserver(metrics, refusals);
  const token = config.dashboard
    ? serveDashboard(publicApp, { ...parts, basePath, apiKeys, maxSignalBytes, pod, onWrong, log })
    : undefined;
  publicApp.any('/asyncapi.json', (res, req) => documents.answer(res, req));
  return token;
}
