import { Ajv } from 'ajv'
import type { FastifyInstance } from 'fastify'
import { StorageError } from '../errors.ts'
import { skipValidation } from './openapi/describe.ts'

/**
 * Separate validators: the host may have replaced Fastify's by one with other keywords, or by one that removes
 * unknown properties instead of rejecting them.
 */
const queryAjv = new Ajv({ coerceTypes: true, useDefaults: true, strict: true })
const bodyAjv = new Ajv({ strict: true })

/**
 * Makes the routes of `app` validate only queries and bodies: paths hold opaque text, and headers have rules of their
 * own. Responses are serialised without regard to their schemas.
 */
export function setCompilers(app: FastifyInstance): void {
  app.setValidatorCompiler<object>(({ schema, httpPart }) => {
    if (httpPart === 'querystring') return queryAjv.compile(schema)
    return httpPart === 'body' ? bodyAjv.compile(schema) : skipValidation()
  })
  app.setSerializerCompiler(() => JSON.stringify)
  app.setSchemaErrorFormatter((errors, part) => toValidationError(errors, part))
}

/**
 * @param schema of the whole body
 * @returns a check that throws StorageError `INVALID_REQUEST` with the name of the field, never with its value
 */
export function compileBody(schema: object): (body: unknown) => void {
  const validate = bodyAjv.compile(schema)
  return (body) => {
    if (!validate(body)) throw toValidationError(validate.errors ?? [], 'body')
  }
}

interface Violation {
  readonly instancePath: string
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message?: string | undefined
}

/** A property name that may be repeated. Any other text could be a value in the wrong place. */
const PROPERTY_NAME = /^[\w.-]{1,64}$/

function toValidationError(violations: readonly Violation[], part: string): StorageError {
  const messages = violations.map(
    ({ instancePath, message = 'is not valid', ...violation }) =>
      `${part}${instancePath} ${message}${detailOf(violation)}`
  )
  return new StorageError('INVALID_REQUEST', messages.join(', '))
}

/** Returns what Ajv's message omits: the unknown property, or the allowed values. */
function detailOf({ keyword, params }: Pick<Violation, 'keyword' | 'params'>): string {
  const { additionalProperty: name, allowedValues: values } = params
  if (keyword === 'additionalProperties' && typeof name === 'string' && PROPERTY_NAME.test(name)) return `: "${name}"`
  if (keyword === 'enum' && Array.isArray(values)) return `: ${values.map((value) => JSON.stringify(value)).join(', ')}`
  return ''
}
