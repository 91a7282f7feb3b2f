import { Ajv2020 } from 'ajv/dist/2020.js'

interface Media {
  readonly schema?: object
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

interface ResponseObject {
  readonly description: string
  readonly headers?: Readonly<Record<string, { readonly schema: object }>>
  readonly content?: Readonly<Record<string, Media>>
}

export interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: { readonly examples?: readonly unknown[] }
  readonly example?: unknown
}

export interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly security?: readonly object[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<Record<string, ResponseObject>>
}

export interface ApiDescription {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly examples?: readonly unknown[] }>>
    readonly responses?: Readonly<Record<string, object>>
    readonly headers?: Readonly<Record<string, object>>
  }
  readonly servers?: readonly { readonly url: string }[]
}

export interface ActualResponse {
  readonly method: string
  /** With or without a query. */
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** An OpenAPI document, with all responses and headers inline. Checks responses against it. */
export class OpenApiDocument {
  readonly document: ApiDescription
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true })

  constructor(document: ApiDescription) {
    this.document = withoutSharedComponents(document)
    this.#ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    this.#ajv.addSchema(this.document, 'api')
  }

  get operations(): readonly (readonly [path: string, method: string, operation: Operation])[] {
    return Object.entries(this.document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => [path, method, operation] as const)
    )
  }

  /** Returns the schema violations of a value. @param pointer path of the schema in the document, part by part */
  violations(pointer: readonly string[], value: unknown): string[] {
    const escaped = pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')))
    const validate = this.#ajv.getSchema(`api#/${escaped.join('/')}`)
    if (validate === undefined) throw new Error(`there is no schema at ${pointer.join(' ')}`)
    if (validate(value) === true) return []
    return [`${pointer.join(' ')}: ${this.#ajv.errorsText(validate.errors)}`]
  }

  /** Returns the mismatches of a response. Skips errors of the host's own hooks, which are not described. */
  mismatches({ method, url, status, headers, body }: ActualResponse): string[] {
    if (body.startsWith('{"type":"about:blank"')) return []
    const path = this.#pathOf(method, url)
    if (path === undefined) return [`${method} ${url} is not described`]
    const verb = method.toLowerCase()
    const location = `${method} ${path} ${status}`
    const response = this.document.paths[path]?.[verb]?.responses[status]
    if (response === undefined) return [`${location} is not described: ${body.slice(0, 300)}`]
    const missing = Object.keys(headers).flatMap((name) =>
      isDocumented(name) && !Object.keys(response.headers ?? {}).some((documented) => documented.toLowerCase() === name)
        ? [`${location} has ${name}, which is not described`]
        : []
    )
    if (body === '') return missing
    const type = String(headers['content-type']).split(';', 1)[0]!
    if (response.content?.['*/*'] !== undefined) return missing
    if (response.content?.[type] === undefined) return [...missing, `${location} is ${type}, which is not described`]
    const pointer = ['paths', path, verb, 'responses', String(status), 'content', type, 'schema']
    return [...missing, ...this.violations(pointer, type.endsWith('json') ? JSON.parse(body) : body)]
  }

  #pathOf(method: string, url: string): string | undefined {
    const requestedParts = url.split('?', 1)[0]!.split('/')
    const candidates = Object.entries(this.document.paths).filter(([path, item]) => {
      const parts = path.split('/')
      const isMatch =
        parts.length === requestedParts.length &&
        parts.every((part, i) => part.startsWith('{') || part === requestedParts[i])
      return isMatch && method.toLowerCase() in item
    })
    // Prefer literal segments to parameters.
    return candidates.sort(([one], [other]) => one.split('{').length - other.split('{').length)[0]?.[0]
  }
}

/** Replaces references to responses and headers by what they refer to, with the description of the reference. */
function withoutSharedComponents({ components, ...document }: ApiDescription): ApiDescription {
  const resolve = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolve)
    if (typeof value !== 'object' || value === null) return value
    const { $ref, ...siblings } = value as { readonly $ref?: unknown }
    const [, kind, name = ''] = /^#\/components\/(responses|headers)\/(.+)$/.exec(String($ref)) ?? []
    if (kind === 'responses' || kind === 'headers') {
      const component = components[kind]?.[name]
      if (component === undefined) throw new Error(`there is no ${String($ref)}`)
      return resolve({ ...component, ...siblings })
    }
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, resolve(member)]))
  }
  return { ...(resolve(document) as Omit<ApiDescription, 'components'>), components: { schemas: components.schemas } }
}

/**
 * Headers of HTTP itself or of the connection; `Vary`, which the host adds to; and `X-Request-Id`, which every
 * response of the server has and which the document describes once.
 */
const UNDOCUMENTED_HEADERS = new Set([
  'transfer-encoding',
  'vary',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'x-request-id',
  'keep-alive'
])

function isDocumented(name: string): boolean {
  return !UNDOCUMENTED_HEADERS.has(name)
}
