/** A name that is the markup of an image. It raises an alert if a page treats it as more than text. */
export const MARKUP_NAME = '<img src=x onerror=alert(1)>'

/** The longest name that file systems allow: 255 bytes. */
const LONG_NAME = `${'A very long file name that is shortened since a row is too small '.repeat(4).slice(0, 251)}.txt`

/** Names that any cloud may have, and that are difficult to display. */
export const HARD_NAMES: readonly string[] = [
  MARKUP_NAME,
  '"quoted", \'single\' & `back`.txt',
  '100% #1 ?query=a+b;c.txt',
  '{{7*7}} ${7*7} %00.txt',
  ' spaces  around   and within .txt',
  '.hidden',
  // Right to left, alone and mixed with left to right; and an override that hides the end of a name.
  'דוח שנתי 2026.txt',
  'تقرير ٢٠٢٦ (final draft) نهائي.txt',
  'Invoice \u202efdp.txt',
  // Composed and decomposed: two names that look the same.
  'Caf\u00e9.txt',
  'Cafe\u0301.txt',
  'Z\u0336\u0351a\u0337\u0306l\u0334\u030dg\u0335\u0310o\u0336\u0313.txt',
  // Emoji of several code points.
  '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽.txt',
  '日本語の長い名前.txt',
  'हिन्दी में नाम.txt',
  'ชื่อภาษาไทย.txt',
  'İstanbul ışık.txt',
  LONG_NAME
]

/** Titles of the files that a colleague adds while the demo runs. */
export const COLLEAGUE_TITLES: readonly string[] = [
  'Agenda for Monday',
  'Budget draft',
  'Meeting notes',
  'Offer to Lindgren',
  'Travel plan Lisbon',
  'Questions for legal',
  'Press release',
  'Interview with Amara',
  'Release checklist',
  'Workshop ideas',
  'Customer feedback',
  'Quarterly figures',
  'Seating plan',
  'Job description',
  'Phone list',
  'Packing list for the fair',
  'Invoice to Okafor',
  'Survey results',
  'Office move',
  'Newsletter draft',
  'Training schedule',
  'Holiday calendar',
  'Lunch orders',
  'Reply to Tanaka'
]
