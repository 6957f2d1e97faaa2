/** A row of the table: the term, and what it means. */
const ROW = /^\| (?<term>[^|]+) \| [^|]+ \|$/gm

/** The terms of a glossary's table that `code` does not contain: as words, in camelCase, in snake_case or as a file's name. */
export function unusedTerms(glossary, code) {
  const terms = [...glossary.matchAll(ROW)]
    .map(({ groups }) => groups.term)
    .filter((term) => !/^(term|-+)$/.test(term))
  return terms.filter((term) => !pattern(term).test(code))
}

/** Parentheses say where the term is used. They are not part of the term. */
function pattern(term) {
  const words = term.replace(/\s*\([^)]*\)/, '').split(/[\s-]+/)
  return new RegExp(words.map((word) => word.replace(/[^\w]/g, '\\$&')).join('[\\s_*#-]*'), 'i')
}
