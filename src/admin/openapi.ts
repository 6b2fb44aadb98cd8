import { signalSchema, statusSchema } from '../contract/events.js';
import { type Json, jsonSchemas } from '../contract/json-schema.js';
import { offsetSchema } from '../contract/offset.js';
import {
  deletedSchema,
  disconnectedSchema,
  healthSchema,
  historySchema,
  infoSchema,
  podInfoSchema,
  problemSchema,
  publishedSchema,
  readinessSchema,
} from './answers.js';
import { orderSchema } from './control.js';
import { deletionSchema, reasonSchema } from './entries.js';
import { problem } from './openapi-answers.js';
import { PATHS } from './openapi-paths.js';

/**
 * The OpenAPI 3.1 document of the admin port.
 *
 * @param version - of this package
 */
export function openapiDocument(version: string): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'signal-gateway admin API',
      version,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      {
        url: 'http://{host}:{port}',
        variables: {
          host: { default: 'localhost', description: '`ADMIN_HOST` of the configuration.' },
          port: { default: '3001', description: '`ADMIN_PORT` of the configuration.' },
        },
      },
    ],
    tags: [
      { name: 'publish', description: 'Signals and statuses, in and out.' },
      { name: 'control', description: 'All pods at once.' },
      { name: 'state', description: 'Of this pod; open to whoever reaches the port.' },
    ],
    paths: PATHS,
    components: {
      schemas: schemas(),
      responses: {
        NotFound: problem(404, ['not_found']),
        MethodNotAllowed: problem(405, ['method_not_allowed']),
      },
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'One of the keys of `API_KEY`.' },
      },
    },
  };
}

const DESCRIPTION = `The internal port of a pod: health, metrics, publishing and control. Never expose it to the internet.

Without \`API_KEY\` only callers on the same machine may publish and control, and pages in a browser may not. A GET may also be
a HEAD. Errors are \`application/problem+json\` with a \`code\` that never changes its meaning. A path that is not listed gets 404
\`not_found\`; a method that is not listed gets 405 \`method_not_allowed\`.`;

/** The schemas that answers and requests refer to, by their names. */
function schemas(): Json {
  return jsonSchemas(
    {
      Signal: signalSchema,
      StatusUpdate: statusSchema,
      Offset: offsetSchema,
      Published: publishedSchema,
      History: historySchema,
      Reason: reasonSchema,
      Deletion: deletionSchema,
      Deleted: deletedSchema,
      PodInfo: podInfoSchema,
      Info: infoSchema,
      DisconnectOrder: orderSchema,
      Disconnected: disconnectedSchema,
      Health: healthSchema,
      Readiness: readinessSchema,
      Problem: problemSchema,
    },
    'draft-2020-12',
  );
}
