import { readFileSync } from 'node:fs'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { isOAuthProvider, type ProviderDefinition } from '../src/core/provider.ts'
import { MODEL_PREFIX, type Schema } from '../src/http/openapi/models.ts'
import { credentialsSchema } from '../src/http/schemas.ts'

/** The hash of the only inline style of Swagger UI 5, in its logo. */
const LOGO_STYLE = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"

/** The page runs only what this server sends. Images are parts of its styles, as `data:` URLs. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  `style-src 'self' ${LOGO_STYLE}`,
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join('; ')

/** The tags of the plugin's routes. */
export const PLUGIN_TAGS = [
  { name: 'Listings', description: 'Cached listings of folders in users’ clouds.' },
  { name: 'Content', description: 'Downloads, uploads and removals of files in users’ clouds; new folders.' },
  { name: 'Connections', description: 'Enabled providers, and the user’s connections to them.' }
]

const TAGS = [
  ...PLUGIN_TAGS,
  { name: 'Documents', description: 'The user’s documents, on this server or in clouds.' },
  { name: 'Server', description: 'Health checks and this API description.' }
]

const headers = (descriptions: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(descriptions).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' as const } }
    ])
  )

/** Headers of the pages, and of the API description. */
const COMMON_HEADERS = { 'Referrer-Policy': '`no-referrer`', 'X-Content-Type-Options': '`nosniff`' }

/** Headers of `GET /openapi.json`. */
const DESCRIPTION_HEADERS: Schema = Object.fromEntries(
  Object.entries({ ...COMMON_HEADERS, 'Cache-Control': '`no-cache`' }).map(([name, description]) => [
    name,
    { type: 'string', description }
  ])
)

const POLICY_HEADER = { 'Content-Security-Policy': 'Allows only scripts and styles of this server.' }

const PAGE_HEADERS = {
  ...COMMON_HEADERS,
  ...POLICY_HEADER,
  'Cross-Origin-Resource-Policy': '`same-origin`',
  'Permissions-Policy': 'Disables browser features that the page does not need.',
  'X-Frame-Options': '`DENY`'
}

const SUCCESS_HEADERS = {
  ...PAGE_HEADERS,
  'Cache-Control': '`no-cache`',
  'Cross-Origin-Opener-Policy': '`same-origin-allow-popups`',
  ETag: 'The entity tag of the page.'
}

const PUBLIC_OPERATION = { security: [], tags: ['Server'] }

const htmlResponse = (descriptions: Readonly<Record<string, string>>) => ({
  description: 'An HTML page.',
  headers: headers(descriptions),
  content: { 'text/html': { schema: { type: 'string' as const } } }
})

/** Returns the responses of the page, with content for `GET` and without for `HEAD`. */
const pageResponses = (isHead: boolean) => {
  const content = (type: string, schema: object) => (isHead ? {} : { content: { [type]: { schema } } })
  const { content: html, ...success } = htmlResponse(SUCCESS_HEADERS)
  return {
    200: isHead ? success : { ...success, content: html },
    304: { description: 'Not modified.', headers: headers(SUCCESS_HEADERS) },
    412: {
      description: '`PRECONDITION_FAILED`',
      headers: headers({ ...SUCCESS_HEADERS, 'Cache-Control': '`no-store`' }),
      ...content('application/problem+json', { $ref: '#/components/schemas/Problem412' })
    },
    503: {
      description: 'The page has not been built. The other routes work without it.',
      headers: headers({ ...PAGE_HEADERS, 'Cache-Control': '`no-store`' }),
      ...content('text/plain', { type: 'string' })
    }
  }
}

/**
 * Returns the descriptions of the pages. Their routes are hidden, since the files of a page are no part of the API.
 * The object is new for each document, because completing a document changes it.
 */
const pagePaths = () => ({
  '/': {
    get: {
      ...PUBLIC_OPERATION,
      operationId: 'openPage',
      summary: 'The page with the picker and the documents',
      responses: pageResponses(false)
    },
    head: {
      ...PUBLIC_OPERATION,
      operationId: 'openPage-head',
      summary: 'The page with the picker and the documents',
      responses: pageResponses(true)
    }
  },
  '/docs': {
    get: {
      ...PUBLIC_OPERATION,
      operationId: 'readApi',
      summary: 'The page with this API description',
      responses: { 200: htmlResponse({ ...COMMON_HEADERS, ...POLICY_HEADER }) }
    }
  }
})

/** How routes become a document, of this server or of the plugin alone. */
export const DOCUMENT_OPTIONS: FastifyDynamicSwaggerOptions = {
  exposeHeadRoutes: true,
  convertConstToEnum: false,
  refResolver: {
    buildLocalReference: ({ $id }, _base, reference) =>
      (typeof $id === 'string' ? $id : reference).replace(MODEL_PREFIX, '')
  },
  transform: ({ schema, url, route }) => ({ url, schema: route.method === 'HEAD' ? withoutBodies(schema) : schema })
}

export const documentInfo = (description: string) => ({
  title: 'fastify-cloud-storage',
  version: packageVersion(),
  summary: 'Cached folder listings and storage backends of users’ clouds',
  description: `Every error is \`application/problem+json\` (RFC 9457); act on its \`code\`. \`null\` means unknown, never "none". ${description}`,
  license: { name: 'MIT', identifier: 'MIT' }
})

export interface ApiDocsOptions {
  readonly loadProviders: () => Promise<readonly ProviderDefinition[]>
}

/**
 * Collects the descriptions of routes that are registered afterwards.
 * @param publicUrl the URL at which browsers reach the application
 */
export function describeRoutes(app: FastifyInstance, publicUrl: string | undefined): void {
  app.register(swagger, {
    ...DOCUMENT_OPTIONS,
    stripBasePath: false,
    openapi: {
      openapi: '3.1.0',
      info: documentInfo('Every response of the ready-made server has `X-Request-Id`, which is also in the log.'),
      servers: [
        { url: publicUrl?.replace(/(?<!\/)\/+$/, '') ?? '/', description: 'The public URL of the application.' }
      ],
      security: [{ bearer: [] }],
      paths: pagePaths(),
      tags: TAGS,
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: '`sub` is the user’s id.' }
        }
      }
    }
  })
}

/** Registers `GET /openapi.json` and a page that displays it. */
export async function apiDocs(app: FastifyInstance, { loadProviders }: ApiDocsOptions): Promise<void> {
  let completedDocument: Promise<ApiDocument> | undefined
  /** Loads the providers at the first request, not at start-up. */
  const getDocument = (): Promise<ApiDocument> =>
    (completedDocument ??= loadProviders().then((providers) =>
      completeDocument(app.swagger() as unknown as ApiDocument, providers)
    ))

  const schema = {
    security: [],
    tags: ['Server'],
    operationId: 'describeApi',
    summary: 'Get this API description',
    description: 'OpenAPI 3.1, with the enabled providers.',
    response: {
      200: {
        description: 'The OpenAPI document.',
        headers: DESCRIPTION_HEADERS,
        content: {
          'application/json': { schema: { type: 'object', additionalProperties: true }, example: { openapi: '3.1.0' } }
        }
      }
    }
  }
  app.get('/openapi.json', { schema }, async (_request, reply) => {
    reply.header('cache-control', 'no-cache')
    return await getDocument()
  })
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: PAGE_POLICY,
    uiHooks: {
      preHandler: (_request, _reply, done) => {
        getDocument().then(() => {
          done()
        }, done)
      }
    },
    // The document is complete by now, and the same object.
    transformSpecification: (described) => described,
    transformSpecificationClone: false,
    uiConfig: { persistAuthorization: false, tryItOutEnabled: false },
    theme: { title: 'fastify-cloud-storage: API' }
  })
}

/** Describes `HEAD` like `GET`, but without bodies and without the responses to ranges. */
function withoutBodies(schema: FastifySchema): FastifySchema {
  const responses = Object.entries(
    (schema as { response?: Record<string, object> } | undefined)?.response ?? {}
  ).filter(([status]) => status !== '206' && status !== '416')
  const response = responses.map(([status, responseObject]) => {
    const { content: _content, ...rest } = responseObject as { content?: unknown }
    return [status, { ...rest, type: 'null' }]
  })
  return { ...schema, response: Object.fromEntries(response) as object }
}

export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return manifest.version
}

/** The parts of an OpenAPI document that are changed after its generation. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>
  readonly components: Record<string, Record<string, unknown>> & { readonly schemas: Record<string, unknown> }
}

interface ApiOperation {
  readonly operationId: string
  readonly requestBody?: { required?: boolean; readonly content: Readonly<Record<string, { schema: unknown }>> }
  readonly responses: Record<string, object>
}

/** Operations whose body may be missing: OAuth requires no field, and an empty file is uploaded without a body. */
const OPTIONAL_BODIES: ReadonlySet<string> = new Set(['authorize', 'upload', 'uploadDocument'])

/** Adds what the routes do not describe: the fields that connect each enabled provider. */
export function completeDocument(document: ApiDocument, providers: readonly ProviderDefinition[]): ApiDocument {
  const credentialProviders = providers.flatMap((provider) => (isOAuthProvider(provider) ? [] : [provider]))
  const credentials = credentialProviders.map(
    ({ id, connect }) => [schemaNameOf(id), credentialsSchema(connect.schema)] as const
  )
  Object.assign(document.components.schemas, Object.fromEntries(credentials))
  for (const { operationId, requestBody } of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    if (requestBody === undefined) continue
    if (OPTIONAL_BODIES.has(operationId)) requestBody.required = false
    const media = requestBody.content['application/json']
    if (operationId === 'connect' && media !== undefined && credentials.length > 0) {
      // `anyOf`: the same credentials may be valid for several providers.
      media.schema = { anyOf: credentials.map(([name]) => ({ $ref: `#/components/schemas/${name}` })) }
    }
  }
  return document
}

function schemaNameOf(providerId: string): string {
  return `${providerId.replace(/(?:^|_)([a-z0-9])/g, (_match, first: string) => first.toUpperCase())}Credentials`
}
