import { Ajv } from 'ajv'
import { StorageError } from '../domain/errors.ts'

/**
 * Validators of our own: a host may have replaced Fastify's by one that knows other schemas, or that drops what it does
 * not know instead of refusing it.
 */
const forQuery = new Ajv({ coerceTypes: true, useDefaults: true, strict: true })
const forBody = new Ajv({ strict: true })

export function compileQuery(schema: object): (data: unknown) => boolean {
  return forQuery.compile(schema)
}

/**
 * @param schema of the whole body
 * @returns a check that throws StorageError `INVALID_REQUEST`, naming the field and never what it holds
 */
export function compileBody(schema: object): (body: unknown) => void {
  const validate = forBody.compile(schema)
  return (body) => {
    if (validate(body)) return
    throw new StorageError('INVALID_REQUEST', `body${forBody.errorsText(validate.errors, { dataVar: '' })}`)
  }
}
