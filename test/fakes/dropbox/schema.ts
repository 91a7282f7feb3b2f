/** Returns Dropbox's message for an invalid value, or undefined. */
export type Check = (value: unknown) => string | undefined

type Fields = Readonly<Record<string, Check>>

export const text =
  (pattern?: string): Check =>
  (value) => {
    if (typeof value !== 'string') return `: expected to be a string, got ${typeName(value)}`
    if (!value.isWellFormed()) return ': no valid Unicode'
    if (pattern === undefined || new RegExp(`^(?:${pattern})$`).test(value)) return undefined
    return `: '${value}' did not match pattern '${pattern}'`
  }

/** A path. Using `/` for the root is the usual mistake. */
export const path =
  (pattern: string, rootIsUnsupported = false): Check =>
  (value) => {
    if (value === '/') return ': Specify the root folder as an empty string rather than as "/".'
    if (value === '' && rootIsUnsupported) return ': The root folder is unsupported.'
    return text(pattern)(value)
  }

export const flag: Check = (value) =>
  typeof value === 'boolean' ? undefined : `: expected to be a boolean, got ${typeName(value)}`

export const integer =
  (min: number, max: number): Check =>
  (value) => {
    if (!Number.isInteger(value)) return `: expected to be an integer, got ${typeName(value)}`
    return Number(value) >= min && Number(value) <= max
      ? undefined
      : `: ${String(value)} is not within [${min}, ${max}]`
  }

export const struct =
  (required: Fields, optional: Fields = {}): Check =>
  (value) => {
    if (!isObject(value)) return `: expected to be an object, got ${typeName(value)}`
    for (const name of Object.keys(required)) if (!(name in value)) return `: missing required field '${name}'`
    const fields = { ...required, ...optional }
    for (const [name, field] of Object.entries(value)) {
      const check = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (check === undefined) return `: unknown field '${name}'`
      const error = check(field)
      if (error !== undefined) return `: ${name}${error}`
    }
    return undefined
  }

/** A union. Members without a value may be written as a bare tag. */
export const union =
  (bareTags: readonly string[], tagsWithValue: Fields = {}): Check =>
  (value) => {
    const unionValue = isObject(value) ? value : { '.tag': value }
    const { '.tag': tag, ...rest } = unionValue
    if (typeof tag !== 'string') return ': expected to be a union'
    if (bareTags.includes(tag)) return Object.keys(rest).length === 0 ? undefined : `: unknown field in '${tag}'`
    const check = Object.hasOwn(tagsWithValue, tag) ? tagsWithValue[tag] : undefined
    if (check === undefined) return `: unknown tag '${tag}'`
    return isObject(value) ? struct({ [tag]: check })(rest) : `: '${tag}' needs a value`
  }

/** Returns the member of a union, in either notation. */
export function tagOf<Tag extends string>(value: { readonly '.tag': Tag }): Tag {
  return typeof value === 'string' ? value : value['.tag']
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'list' : typeof value
}
