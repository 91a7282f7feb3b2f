import type { FastifyInstance, FastifySchema } from 'fastify'
import { MODEL_PREFIX, MODELS } from './models.ts'
import { type Operation, operations } from './operations.ts'
import { PROBLEM_MODELS } from './responses.ts'
import { transferOperations } from './transfer-operations.ts'

export type OperationName = keyof typeof operations | keyof typeof transferOperations

const OPERATIONS: Readonly<Record<OperationName, Operation>> = { ...operations, ...transferOperations }

/** Adds the schemas that routes refer to. A prefix keeps them apart from the host's schemas. */
export function addModels(app: FastifyInstance): void {
  for (const [name, schema] of Object.entries({ ...MODELS, ...PROBLEM_MODELS })) {
    app.addSchema({ ...schema, $id: MODEL_PREFIX + name })
  }
}

/** Returns the schema of a route: its description, and the schemas by which it validates. */
export function describe(operation: OperationName, requestSchemas: FastifySchema = {}): FastifySchema {
  const schema = { operationId: operation, ...OPERATIONS[operation], ...requestSchemas }
  return schema
}
