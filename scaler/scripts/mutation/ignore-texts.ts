/** The part of Babel's NodePath that is used here. */
interface NodePath {
  readonly node: { readonly type: string; readonly value?: unknown }
}

/** A plugin of Stryker: texts for humans are not mutated, because tests should not repeat them. Codes and states are. */
export const strykerPlugins = [
  {
    kind: 'Ignore',
    name: 'texts',
    value: {
      shouldIgnore({ node }: NodePath): string | undefined {
        const isText =
          node.type === 'TemplateLiteral' || (node.type === 'StringLiteral' && `${node.value}`.includes(' '))
        return isText ? 'a text' : undefined
      },
    },
  },
]
