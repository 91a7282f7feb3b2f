import { isOAuthProvider, type ProviderDefinition } from '../domain/provider.ts'
import { credentialsSchema } from '../http/schemas.ts'

interface Media {
  schema: unknown
}

interface Operation {
  requestBody?: { required?: boolean; content: Record<string, Media> }
}

/** The parts of an OpenAPI document that this module changes. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>> | undefined>>
  readonly components: { readonly schemas: Record<string, unknown> }
}

const CONNECT = '/cloud/connections/{id}'
/** Bodies that may be missing: OAuth requires no field, and an empty file is uploaded without a body. */
const OPTIONAL_BODIES = [
  ['/cloud/connections/{provider}/authorize', 'post'],
  ['/cloud/{provider}/content', 'put'],
  ['/documents/{id}/content', 'put']
] as const
const JSON_TYPE = 'application/json'

/** Adds what the routes do not describe: the fields that connect each enabled provider. */
export function completeDocument(document: ApiDocument, providers: readonly ProviderDefinition[]): ApiDocument {
  const typed = providers.flatMap((provider) => (isOAuthProvider(provider) ? [] : [provider]))
  const credentials = typed.map(({ id, connect }) => [modelOf(id), credentialsSchema(connect.schema)] as const)
  Object.assign(document.components.schemas, Object.fromEntries(credentials))
  const connecting = document.paths[CONNECT]?.['post']?.requestBody?.content[JSON_TYPE]
  if (connecting !== undefined && credentials.length > 0) {
    // `anyOf`: the same credentials may be valid for several providers.
    connecting.schema = { anyOf: credentials.map(([name]) => ({ $ref: `#/components/schemas/${name}` })) }
  }
  for (const [path, method] of OPTIONAL_BODIES) {
    const body = document.paths[path]?.[method]?.requestBody
    if (body !== undefined) body.required = false
  }
  return document
}

function modelOf(providerId: string): string {
  return `${providerId.replace(/(?:^|_)([a-z0-9])/g, (_match, first: string) => first.toUpperCase())}Credentials`
}
