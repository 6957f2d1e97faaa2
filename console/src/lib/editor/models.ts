import type { Finding } from '@fp/sdk/wire'
import { editor, MarkerSeverity, Uri } from './monaco.ts'
import { languageOf } from './language.ts'
import { markersOf } from './markers.ts'

const OWNER = 'fp'

/** Monaco's text models of one app's files. A model is made when its file is opened and disposed when the file is deleted. */
export class Models {
  #appId: string
  #models = new Map<string, editor.ITextModel>()
  #findings: readonly Finding[] = []
  #onEdit: (path: string, text: string) => void
  /** Set while a text from outside replaces the model's: that is not an edit of the person. */
  #replacing = false

  constructor(appId: string, onEdit: (path: string, text: string) => void) {
    this.#appId = appId
    this.#onEdit = onEdit
  }

  open(path: string, text: string): editor.ITextModel {
    const known = this.#models.get(path)
    if (known) return known
    const uri = Uri.from({ scheme: 'file', path: `/${this.#appId}/${path}` })
    const model = editor.createModel(text, languageOf(path), uri)
    model.updateOptions({ tabSize: path.endsWith('.py') ? 4 : 2, insertSpaces: true })
    model.onDidChangeContent(() => {
      if (!this.#replacing) this.#onEdit(path, model.getValue())
    })
    this.#models.set(path, model)
    this.#mark(path, model)
    return model
  }

  /** Follows the files: disposes the models of deleted files and replaces texts that differ. Undo brings a replaced text back. */
  sync(files: Readonly<Record<string, string>>): void {
    for (const [path, model] of this.#models) {
      const text = files[path]
      if (text === undefined) {
        model.dispose()
        this.#models.delete(path)
      } else if (model.getValue() !== text) this.#replace(model, text)
    }
  }

  /** Underlines the findings. */
  mark(findings: readonly Finding[]): void {
    this.#findings = findings
    for (const [path, model] of this.#models) this.#mark(path, model)
  }

  dispose(): void {
    for (const model of this.#models.values()) model.dispose()
    this.#models.clear()
  }

  #replace(model: editor.ITextModel, text: string): void {
    this.#replacing = true
    model.pushStackElement()
    model.pushEditOperations([], [{ range: model.getFullModelRange(), text }], () => null)
    model.pushStackElement()
    this.#replacing = false
  }

  #mark(path: string, model: editor.ITextModel): void {
    const markers = markersOf(this.#findings, path, MarkerSeverity)
    editor.setModelMarkers(model, OWNER, markers)
  }
}
