import { isOAuthProvider, type ProviderDefinition } from '../domain/provider.ts'
import { credentialsSchema } from '../http/schemas.ts'

interface Media {
  schema: unknown
}

interface Operation {
  requestBody?: { required?: boolean; content: Record<string, Media> }
}

/** What of an OpenAPI document is touched here. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>> | undefined>>
  readonly components: { readonly schemas: Record<string, unknown> }
}

const CONNECT = '/cloud/connections/{id}'
/** With OAuth there is nothing that must be said, and the content of an empty file is no body. */
const OPTIONAL_BODIES = [
  ['/cloud/connections/{provider}/authorize', 'post'],
  ['/cloud/{provider}/content', 'put'],
  ['/documents/{id}/content', 'put']
] as const
const JSON_TYPE = 'application/json'

/** Says what the routes alone cannot say: which fields connect each provider that is enabled. */
export function completeDocument(document: ApiDocument, providers: readonly ProviderDefinition[]): ApiDocument {
  const typed = providers.flatMap((provider) => (isOAuthProvider(provider) ? [] : [provider]))
  const credentials = typed.map(({ id, connect }) => [modelOf(id), credentialsSchema(connect.schema)] as const)
  Object.assign(document.components.schemas, Object.fromEntries(credentials))
  const connecting = document.paths[CONNECT]?.['post']?.requestBody?.content[JSON_TYPE]
  if (connecting !== undefined && credentials.length > 0) {
    // Any of them: those of one server may be as good for another.
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
