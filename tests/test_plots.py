"""What `dvc plots show` says where Vega can't be fetched."""

import configparser

from closure import ROOT
from dvc_render.html import HTML


def test_the_page_of_dvcs_plots_says_where_the_curves_are_offline():
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc/config")
    template = (ROOT / ".dvc" / config["plots"]["html_template"]).read_text()
    page = HTML(template).with_scripts("<script src=vega>").with_element("<div>plot</div>").embed()
    assert "<script src=vega>" in page and "<div>plot</div>" in page
    assert "report/index.html" in page and "window.vegaEmbed" in page
    assert "{" not in page.split("<body>")[1]  # nothing is left to fill in
