import { BoxMistake } from './failure.ts'
import type { FakeDavRequest } from '../dav/request.ts'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/

/** A JSON object from a client. Members that are not expected are mistakes. */
export class BoxBody {
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(text: string, fieldNames: readonly string[]) {
    this.#fields = parseObject(text)
    const unknown = Object.keys(this.#fields).filter((name) => !fieldNames.includes(name))
    if (unknown.length > 0) throw new BoxMistake(`the field ${unknown.join()} in a body`)
  }

  /** Parses the body of a JSON request. */
  static of({ headers, body }: FakeDavRequest, fieldNames: readonly string[]): BoxBody {
    const type = headers['content-type'] ?? ''
    if (!/^application\/json(?:;\s*charset="?utf-8"?)?$/i.test(type)) throw new BoxMistake(`the content type ${type}`)
    return new BoxBody(body?.toString() ?? '', fieldNames)
  }

  text(name: string): string | undefined {
    return this.#read(name, (value): value is string => typeof value === 'string')
  }

  requiredText(name: string): string {
    return this.text(name) ?? missing(name)
  }

  integer(name: string): number | undefined {
    return this.#read(name, (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0)
  }

  requiredInteger(name: string): number {
    return this.integer(name) ?? missing(name)
  }

  time(name: string): Date | undefined {
    const text = this.#read(name, (value): value is string => typeof value === 'string' && TIME.test(value))
    return text === undefined ? undefined : new Date(text)
  }

  /** Returns the ID in `{"parent": {"id": "0"}}`. */
  parent(): string | undefined {
    const parent = this.object('parent', ['id'])
    return parent?.requiredText('id')
  }

  object(name: string, fieldNames: readonly string[]): BoxBody | undefined {
    const value = this.#read(
      name,
      (candidate): candidate is object => typeof candidate === 'object' && candidate !== null
    )
    return value === undefined ? undefined : new BoxBody(JSON.stringify(value), fieldNames)
  }

  objects(name: string, fieldNames: readonly string[]): BoxBody[] {
    const values = this.#read(name, (candidate): candidate is unknown[] => Array.isArray(candidate)) ?? missing(name)
    return values.map((value) => new BoxBody(JSON.stringify(value), fieldNames))
  }

  #read<T>(name: string, isValid: (value: unknown) => value is T): T | undefined {
    const value = this.#fields[name]
    if (value === undefined || isValid(value)) return value
    throw new BoxMistake(`the value of ${name}: ${JSON.stringify(value)}`)
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Reported below.
  }
  throw new BoxMistake('a body that is no JSON object')
}

function missing(name: string): never {
  const errors = [{ reason: 'missing_parameter', name, message: `'${name}' is required` }]
  throw new BoxMistake(`no ${name}`, { contextInfo: { errors } })
}
