// Writes openapi.json, the description of the plugin's routes, and the types that are generated from it.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { type ApiDocument, completeDocument, DOCUMENT_OPTIONS, documentInfo, PLUGIN_TAGS } from '../server/openapi.ts'
import { readArguments } from '../server/run.ts'
import cloudStorage, {
  type CloudStorageOptions,
  type OAuthProviderOptions,
  type ProviderOptions
} from '../src/index.ts'
import { PROVIDERS } from '../src/providers/registry.ts'

const ROOT = new URL('../', import.meta.url)
/** The default of the option `routePrefix`. */
const PREFIX = '/cloud'

/** The database objects that the plugin checks at start. */
const SCHEMA = [
  'cloud_connections',
  'cloud_connection_changes',
  'oauth_states',
  'cloud_connections_keep_versions',
  'cloud_connections_announce_insert',
  'cloud_connections_announce_update',
  'cloud_connections_announce_delete',
  'cloud_connections_announce_truncate'
].map((name) => ({ name, isReplica: false, lacking: [] }))

/** A stub, for applications with `leaseMs: 0`: it has no change log, and the routes are described, not used. */
export const STUB_PRISMA = {
  cloudConnection: {},
  oAuthState: {},
  $transaction: () => {},
  $executeRaw: () => {},
  $queryRaw: async () => SCHEMA
} as unknown as CloudStorageOptions['prisma']

const REGISTRATION: OAuthProviderOptions = { clientId: 'client', clientSecret: 'secret' }
const NO_OPTIONS: ProviderOptions = {}

/** Returns the OpenAPI document of the plugin with all of its providers, with paths relative to its prefix. */
export async function describePlugin(): Promise<string> {
  const app = Fastify()
  app.register(swagger, {
    ...DOCUMENT_OPTIONS,
    openapi: {
      openapi: '3.1.0',
      info: documentInfo('Paths are relative to the plugin’s prefix.'),
      servers: [{ url: PREFIX, description: 'The default of the option `routePrefix`.' }],
      security: [{ bearer: [] }],
      tags: PLUGIN_TAGS,
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'An example: the application decides how its users authenticate.'
          }
        }
      }
    }
  })
  app.register(cloudStorage, {
    prisma: STUB_PRISMA,
    leaseMs: 0,
    authenticate: () => undefined,
    encryption: { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } },
    providers: Object.fromEntries(
      Object.entries(PROVIDERS).map(([id, { oauth }]) => [id, oauth ? REGISTRATION : NO_OPTIONS])
    ),
    transfers: {},
    publicUrl: 'https://app.example.org'
  })
  try {
    await app.ready()
    const providers = await Promise.all(Object.values(PROVIDERS).map(async ({ load }) => (await load()).provider))
    const document = completeDocument(structuredClone(app.swagger()) as unknown as ApiDocument, providers)
    return `${JSON.stringify(withSharedComponents(document), null, 2)}\n`
  } finally {
    await app.close()
  }
}

/** A response or a header. */
interface Described {
  readonly description?: string
  readonly headers?: Record<string, object>
  readonly content?: Readonly<Record<string, { readonly schema: { readonly $ref?: string } }>>
}

/** A member of an object that a reference may replace. */
interface Use {
  readonly parent: Record<string, object>
  readonly key: string
  readonly value: Described
}

/** Moves repeated headers, and repeated responses with a model as their body, to the components. */
function withSharedComponents(document: ApiDocument): ApiDocument {
  const { components, paths } = document
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  const responseUses = operations.flatMap((operation) => usesIn(operation.responses))
  const headerUses = responseUses.flatMap(({ value }) => usesIn(value.headers ?? {}))

  const headers: Record<string, object> = (components['headers'] = {})
  for (const uses of repeated(headerUses, ({ key, value }) => [key, value])) {
    const [{ key: name, value }] = uses
    // Of several headers with one name, the most frequent becomes the component.
    if (name in headers) continue
    headers[name] = value
    for (const { parent } of uses) parent[name] = { $ref: `#/components/headers/${name}` }
  }

  const responses: Record<string, object> = (components['responses'] = {})
  const withoutDescription = ({ value: { description: _, ...rest } }: Use): object => rest
  for (const uses of repeated(responseUses, withoutDescription)) {
    const [{ value: response }] = uses
    const name = modelOf(response)
    if (name === undefined || name in responses) continue
    const { description } = components.schemas[name] as { description: string }
    responses[name] = { ...response, description }
    for (const { parent, key, value } of uses) {
      // A description beside a reference replaces the component's. It names the codes of the operation.
      parent[key] = { $ref: `#/components/responses/${name}`, description: value.description }
    }
  }
  return document
}

function usesIn(parent: Record<string, object>): Use[] {
  return Object.entries(parent).map(([key, value]) => ({ parent, key, value }))
}

/** Groups equal uses, the largest group first. Single uses are left out. */
function repeated(uses: readonly Use[], comparedPart: (use: Use) => object): [Use, ...Use[]][] {
  const groups = new Map<string, [Use, ...Use[]]>()
  for (const use of uses) {
    const compared = JSON.stringify(comparedPart(use))
    const group = groups.get(compared)
    if (group === undefined) groups.set(compared, [use])
    else group.push(use)
  }
  return [...groups.values()].filter(({ length }) => length > 1).sort((one, other) => other.length - one.length)
}

/** Returns the name of the schema that a response refers to. */
function modelOf({ content = {} }: Described): string | undefined {
  return Object.values(content)[0]?.schema.$ref?.replace('#/components/schemas/', '')
}

if (process.argv[1] === import.meta.filename) {
  readArguments('Usage: npm run openapi\n\nWrites openapi.json and src/generated.')
  writeFileSync(new URL('openapi.json', ROOT), await describePlugin())
  execFileSync(process.execPath, [fileURLToPath(new URL('scripts/generate.mjs', ROOT))], { stdio: 'inherit' })
}
