export interface PageForm {
  readonly action: string
  readonly fields: URLSearchParams
}

/** Returns the forms of a page, with the fields that each button submits. */
export function readForms(html: string): PageForm[] {
  return [...html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gs)].map(([, attributesText = '', body = '']) => {
    const { method, action } = attributesOf(attributesText)
    if (method !== 'post' || action === undefined) throw new Error(`a form that is not known here: ${attributesText}`)
    const inputs = [...body.matchAll(/<input\b([^>]*?)\/?>/g)].map(([, input = '']) => attributesOf(input))
    return {
      action,
      fields: new URLSearchParams(inputs.map(({ name = '', value = '' }): [string, string] => [name, value]))
    }
  })
}

function attributesOf(tag: string): Record<string, string> {
  return Object.fromEntries(
    [...tag.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, decodeEntities(value)])
  )
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'"
}

function decodeEntities(text: string): string {
  return text.replace(/&[#\w]+;/g, (entity) => {
    const character = ENTITIES[entity]
    if (character === undefined) throw new Error(`an entity that is not known here: ${entity}`)
    return character
  })
}
