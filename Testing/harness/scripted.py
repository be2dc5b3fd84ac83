"""Stand-ins for the parts of Slicer's Python that the slicer-core wheel lacks. Never shipped.

Written from Slicer's public developer guide (script repository, parameter node wrapper, module template).
"""

import os
import sys
import types

import slicer
from PySide6.QtWidgets import QCheckBox


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def setup(self):
        pass

    def resourcePath(self, name):
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", name)

    def onReload(self):
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node = scene.AddNode(node)
        return node


class ScriptedLoadableModuleTest:
    def delayDisplay(self, message, msec=0):
        print(message, file=sys.stderr)


def parameterNodeWrapper(kind):  # noqa: N802
    """Attributes by a class's annotations, kept in a vtkMRMLScriptedModuleNode."""

    def __init__(self, node):
        self.parameterNode = node
        self._connections = {}

    kind.__init__ = __init__
    kind.connectGui, kind.disconnectGui = _connect_gui, _disconnect_gui
    for name, of in kind.__annotations__.items():
        setattr(kind, name, _node_property(name) if hasattr(of, "IsA") else _value_property(kind, name, of))
    return kind


def _node_property(name):
    return property(
        lambda self: self.parameterNode.GetNodeReference(name),
        lambda self, node: self.parameterNode.SetNodeReferenceID(name, node.GetID() if node else None),
    )


def _value_property(kind, name, of):
    default = getattr(kind, name)

    def get(self):
        text = self.parameterNode.GetParameter(name)
        return default if text == "" else text == "true" if of is bool else of(text)

    def set_(self, value):
        text = ("true" if value else "false") if of is bool else str(value)
        self.parameterNode.SetParameter(name, text)

    return property(get, set_)


def _connect_gui(self, ui):
    """Widgets with the dynamic property SlicerParameterName follow the node, and it follows them."""
    pairs = []
    for widget in vars(ui).values():
        name = widget.property("SlicerParameterName")
        if name:
            pairs.append((widget, name))
    number = len(self._connections)

    def from_node(*_):
        for widget, name in pairs:
            value = getattr(self, name)
            if isinstance(widget, QCheckBox):
                widget.checked = value
            elif widget.currentNode() is not value:
                widget.setCurrentNode(value)

    def from_widget(name, value):
        if number in self._connections and getattr(self, name) is not value:
            setattr(self, name, value)

    tag = self.parameterNode.AddObserver("ModifiedEvent", from_node)
    self._connections[number] = tag
    from_node()
    for widget, name in pairs:
        if isinstance(widget, QCheckBox):
            widget.connect("toggled(bool)", lambda on, name=name: from_widget(name, on))
        else:
            widget.connect(
                "currentNodeChanged(vtkMRMLNode*)", lambda node, name=name: from_widget(name, node)
            )
    return number


def _disconnect_gui(self, number):
    self.parameterNode.RemoveObserver(self._connections.pop(number))


def install() -> None:
    """Puts the stand-ins where modules import them from."""
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    for part in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(scripted, part.__name__, part)
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper = parameterNodeWrapper
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    for module in (scripted, wrapper, i18n):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.rpartition(".")[2], module)
