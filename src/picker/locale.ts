/** Returns the locale of an element: the nearest `lang` attribute, else the browser's language. */
export function localeOf(element: Element): string {
  const told = element.closest('[lang]')?.getAttribute('lang') ?? ''
  return isLocale(told) ? told : navigator.language
}

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length > 0
  } catch {
    return false
  }
}
