import type { FieldSchema, FormSchema } from '../api.ts'
import type { PickerProblem } from '../problem.ts'

export interface Field {
  readonly name: string
  readonly title: string
  readonly description: string | null
  /** The type of control. */
  readonly input: 'text' | 'password' | 'number' | 'checkbox' | 'select'
  readonly isRequired: boolean
  readonly choices: readonly string[]
  readonly schema: FieldSchema
}

/** Values as form controls hold them. */
export type FormValues = Readonly<Record<string, string | boolean>>

/** An error of a field: a key of the strings with its parameter, or the server's error detail. */
export type FieldError =
  | { readonly key: 'fieldRequired' | 'fieldPattern' | 'fieldNumber' }
  | { readonly key: 'fieldShort' | 'fieldLong' | 'fieldSmall' | 'fieldLarge'; readonly n: number }
  | { readonly text: string }

export type FieldErrors = Readonly<Record<string, FieldError>>

/** Returns the fields of a provider's form, required fields first. */
export function fieldsOf({ properties, required = [] }: FormSchema): Field[] {
  const fields = Object.entries(properties).map(([name, schema]): Field => ({
    name,
    title: schema.title ?? name,
    description: schema.description ?? null,
    input: inputOf(schema),
    isRequired: required.includes(name),
    choices: (schema.enum ?? []).map(String),
    schema
  }))
  return [...fields.filter(({ isRequired }) => isRequired), ...fields.filter(({ isRequired }) => !isRequired)]
}

function inputOf({ type, writeOnly, enum: choices }: FieldSchema): Field['input'] {
  if (choices !== undefined) return 'select'
  if (type === 'boolean') return 'checkbox'
  if (type === 'number' || type === 'integer') return 'number'
  return writeOnly === true ? 'password' : 'text'
}

export function defaultsOf(fields: readonly Field[]): FormValues {
  return Object.fromEntries(
    fields.map(({ name, input, schema: { default: value } }) => [
      name,
      input === 'checkbox' ? value === true : ['string', 'number'].includes(typeof value) ? String(value) : ''
    ])
  )
}

/** Returns the request body, typed by the schema. Empty optional fields are left out. */
export function bodyOf(fields: readonly Field[], values: FormValues): Record<string, unknown> {
  const body: Record<string, unknown> = {}
  for (const { name, input, choices, schema } of fields) {
    const value = values[name] ?? ''
    if (value === '') continue
    if (input === 'number') body[name] = Number(value)
    else body[name] = input === 'select' ? schema.enum?.[choices.indexOf(String(value))] : value
  }
  return body
}

export function validateFields(fields: readonly Field[], values: FormValues): FieldErrors {
  return Object.fromEntries(
    fields.flatMap((field): [string, FieldError][] => {
      const error = validateField(field, values[field.name] ?? '')
      return error === null ? [] : [[field.name, error]]
    })
  )
}

function validateField({ input, isRequired, schema }: Field, value: string | boolean): FieldError | null {
  if (typeof value === 'boolean') return null
  if (value === '') return isRequired ? { key: 'fieldRequired' } : null
  if (input === 'number') return validateNumber(schema, Number(value))
  // JSON Schema counts code points, not UTF-16 units.
  const { length } = Array.from(value)
  if (length < (schema.minLength ?? 0)) return { key: 'fieldShort', n: schema.minLength ?? 0 }
  if (length > (schema.maxLength ?? Infinity)) return { key: 'fieldLong', n: schema.maxLength ?? 0 }
  return schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(value) ? null : { key: 'fieldPattern' }
}

function validateNumber({ type, minimum, maximum }: FieldSchema, value: number): FieldError | null {
  if (!Number.isFinite(value) || (type === 'integer' && !Number.isInteger(value))) return { key: 'fieldNumber' }
  if (minimum !== undefined && value < minimum) return { key: 'fieldSmall', n: minimum }
  return maximum !== undefined && value > maximum ? { key: 'fieldLarge', n: maximum } : null
}

/** Assigns a server error to a field. The server names fields as `body/bucket …` or `The field "bucket" …`. */
export function fieldErrorsFrom(problem: PickerProblem, fields: readonly Field[]): FieldErrors {
  const text = problem.detail ?? ''
  const [, name] = /^body\/(\w+)/.exec(text) ?? /field "(\w+)"/.exec(text) ?? []
  return name !== undefined && fields.some((field) => field.name === name) ? { [name]: { text } } : {}
}
