"""Slice views off screen, through Slicer's own displayable managers: pictures, and clicks of the mouse."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


class SliceView:
    """One slice view.

    Args:
        orientation: Axial, Sagittal or Coronal.
        name: in the layout.
    """

    def __init__(self, orientation: str, size=(300, 300), name=""):
        self.orientation = orientation
        scene, application = slicer.mrmlScene, slicer.app.applicationLogic()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name or orientation)
        self.node.SetOrientation(orientation)
        if application.GetSliceLogics() is None:
            application.SetSliceLogics(vtk.vtkCollection())
        application.GetSliceLogics().AddItem(self.logic)
        self.window, self.renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self._show_image()
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        for name in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetSliceLogic(self.logic)
        self.group.Initialize(factory, self.renderer)
        self.style.SetDisplayableManagers(self.group)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self.style.SetInteractor(self.interactor)
        self.group.SetMRMLDisplayableNode(self.node)
        self.node.SetDimensions(*size, 1)
        self.interactor.Initialize()

    def interactorStyle(self):
        return self.style

    def mrmlSliceNode(self):
        return self.node

    def show(self, volume) -> None:
        """A volume, whole."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.logic.FitSliceToBackground()
        self.node.UpdateMatrices()

    def look_at(self, point_ras) -> None:
        """Moves the slice through a point."""
        self.node.JumpSliceByOffsetting(*point_ras)

    def click(self, point_ras, button="Left") -> None:
        """A button, pressed and released on a point of the slice."""
        self._send(point_ras, "Enter", "MouseMove", f"{button}ButtonPress", f"{button}ButtonRelease")

    def move(self, point_ras) -> None:
        """The mouse, moved to a point of the slice."""
        self._send(point_ras, "Enter", "MouseMove")

    def leave(self) -> None:
        """The mouse, moved out of the view."""
        self.interactor.InvokeEvent("LeaveEvent")

    def _send(self, point_ras, *events: str) -> None:
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), to_xy)
        x, y, *_ = to_xy.MultiplyPoint((*point_ras, 1))
        self.window.Render()
        for event in events:
            self.interactor.SetEventInformation(round(x), round(y), 0, 0, "\0", 0, None)
            self.interactor.InvokeEvent(f"{event}Event")

    def wheel(self, steps: int, shift: bool = False, sideways: bool = False) -> None:
        """The mouse wheel over the middle of the slice: forward or left, where steps are negative back."""
        x, y = (n // 2 for n in self.window.GetSize())
        ways = ("Left", "Right") if sideways else ("Forward", "Backward")
        for _ in range(abs(steps)):
            self.interactor.SetEventInformation(x, y, 0, int(shift), "\0", 0, None)
            self.interactor.InvokeEvent(f"MouseWheel{ways[steps < 0]}Event")

    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8."""
        self.logic.UpdateImageData()
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return _picture(self.window)

    def close(self) -> None:
        """Lets go of the scene."""
        self.group.SetMRMLDisplayableNode(None)
        self.style.SetInteractor(None)
        self.logic.SetMRMLScene(None)
        self.window.Finalize()

    def _show_image(self) -> None:
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddActor2D(actor)


class Layout:
    """Stands in for the layout manager: slice views, made when they are asked for. Names as in its API."""

    ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}

    def __init__(self):
        self._views: dict[str, SliceView] = {}
        self._slots: list = []
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView

    def connect(self, signal, slot):
        self._slots.append(slot)

    def disconnect(self, signal, slot):
        self._slots.remove(slot)

    def setLayout(self, number):
        self.layout = number
        for slot in self._slots:
            slot(number)

    def sliceViewNames(self):
        return tuple(self._views)

    def sliceWidget(self, name):
        if name not in self._views:
            self._views[name] = SliceView(self.ORIENTATIONS[name], name=name)
        return self._views[name]

    def mrmlSliceLogics(self):
        return slicer.app.applicationLogic().GetSliceLogics() or vtk.vtkCollection()

    def close(self) -> None:
        for view in self._views.values():
            view.close()


class ThreeDView:
    """The segmentation's surface from the front."""

    def __init__(self, segmentation, size=(300, 300)):
        segmentation.CreateClosedSurfaceRepresentation()
        self.window, self.renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
        self.window.SetOffScreenRendering(True)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.renderer.SetBackground(0.55, 0.6, 0.75)
        interactor = vtk.vtkGenericRenderWindowInteractor()
        interactor.SetRenderWindow(self.window)
        self.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLViewNode")
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        if not factory.IsDisplayableManagerRegistered("vtkMRMLSegmentationsDisplayableManager3D"):
            factory.RegisterDisplayableManager("vtkMRMLSegmentationsDisplayableManager3D")
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(factory, self.renderer)
        self.group.SetMRMLDisplayableNode(self.node)

    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8."""
        camera = self.renderer.GetActiveCamera()
        camera.SetPosition(0, 1, 0.3)
        camera.SetFocalPoint(0, 0, 0)
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera()
        return _picture(self.window)

    def close(self) -> None:
        """Lets go of the scene."""
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()


def _picture(window) -> np.ndarray:
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    width, height, _ = grab.GetOutput().GetDimensions()
    return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()
